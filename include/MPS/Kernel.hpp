#pragma once

#include <memory>
#include <string>

#include <MPS/SecureCoding.hpp>
#include <MPS/Types.hpp>
#include <MTL/Error.hpp>

namespace MTL {
class CommandBuffer;
class Device;
}  // namespace MTL

namespace MPS {

/// MPSKernel: base of everything that encodes work. A kernel belongs to one device for life, is cheap, and may be used
/// by one thread at a time. An encode copies what it needs: the kernel may change or die right after.
/// Source: MPSKernel.h.
class PEWTER_API Kernel : public std::enable_shared_from_this<Kernel>, public SecureCoding {
public:
    /// Throws MPS::Error for a null device.   Objective-C: -initWithDevice:
    explicit Kernel(std::shared_ptr<MTL::Device> device);
    ~Kernel() override;

    /// Default: none, plus Verbose when the environment variable MPS_LOG_INFO is set.
    KernelOptions options() const { return options_; }
    void setOptions(KernelOptions options) { options_ = options; }

    const std::shared_ptr<MTL::Device>& device() const { return device_; }

    const std::string& label() const { return label_; }
    void setLabel(const std::string& label) { label_ = label; }

    /// Class name without the framework prefix: "CNNConvolution".
    const char* className() const override { return "Kernel"; }
    /// How errors call this kernel: its class, and its label if it has one.
    std::string name() const;

    /// An independent kernel with the same properties, weights and label on `device`, or on the own device when null.
    /// Throws MPS::Error for a class that cannot be copied.   Objective-C: -copyWithZone:device:, -copyWithZone:
    virtual std::shared_ptr<Kernel> copy(const std::shared_ptr<MTL::Device>& device = nullptr) const;

    /// Every property and all parameters, except the device. Padding policy, allocator and data source must have secure
    /// coding; a convolution or normalisation whose data source has none stores its parameters instead. Parameters are
    /// what the host sees now: wait for command buffers that update them. Kernels of an application override this, call
    /// their base first and add their own.   Objective-C: -encodeWithCoder:, -initWithCoder:, -initWithCoder:device:
    void encodeWithCoder(Coder& coder) const override;
    /// Takes back the properties that the library's base classes (Kernel, CNNKernel, CNNBinaryKernel, CNNGradientKernel,
    /// CNNMultiaryKernel) have written. For an application's own kernels: to be called once the kernel is made.
    void restoreProperties(Coder& coder);

protected:
    Kernel(const Kernel&) = default;
    Kernel& operator=(const Kernel&) = default;
    /// For copy(): moves a fresh copy to another device.
    void setDevice(std::shared_ptr<MTL::Device> device) { device_ = std::move(device); }

private:
    std::shared_ptr<MTL::Device> device_;
    std::string label_;
    KernelOptions options_;
};

/// True for every device this library makes; false for null.   C: MPSSupportsMTLDevice()
PEWTER_API bool SupportsMTLDevice(const std::shared_ptr<MTL::Device>& device);

/// The device MPS would choose. MPS_PREFERRED_DEVICE (also MPS_PREFERED_DEVICE) holds an index into
/// MTL::copyAllDevices(); -1 lists them on stderr.   C: MPSGetPreferredDevice()
PEWTER_API std::shared_ptr<MTL::Device> GetPreferredDevice(DeviceOptions options = DeviceOptionsDefault);

/// MPSGetDeviceCaps(): what the device can do, as informational bits.
PEWTER_API DeviceCaps GetDeviceCaps(const std::shared_ptr<MTL::Device>& device);

/// Makes the next piece of temporary memory of the command buffer at least `bytes` large; bytes is the peak of
/// simultaneous use.   C: MPSHintTemporaryMemoryHighWaterMark()
PEWTER_API void HintTemporaryMemoryHighWaterMark(const std::shared_ptr<MTL::CommandBuffer>& commandBuffer,
                                                 std::size_t bytes);

/// How long temporary memory of this command buffer stays cached once unused. Default 5 s; NaN and negative mean 0.
/// C: MPSSetHeapCacheDuration()
PEWTER_API void SetHeapCacheDuration(const std::shared_ptr<MTL::CommandBuffer>& commandBuffer, double seconds);

}  // namespace MPS
