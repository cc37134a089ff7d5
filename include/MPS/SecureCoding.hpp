#pragma once

#include <memory>

#include <MTL/Export.hpp>

namespace MTL {
class Device;
}

namespace MPS {

class Coder;

/// NSSecureCoding: an object that archives can hold. Kernels are; data sources, padding policies and allocators of an
/// application become so by deriving from this class as well, and by RegisterArchivedClass().
class PEWTER_API SecureCoding {
public:
    virtual ~SecureCoding();
    /// The name under which the class is registered.
    virtual const char* className() const = 0;
    /// Writes everything that the object needs to be made again.   Objective-C: -encodeWithCoder:
    virtual void encodeWithCoder(Coder& coder) const = 0;
};

/// MPSDeviceProvider: a coder that knows the device for what it makes. Any other coder means the system's default device.
class PEWTER_API DeviceProvider {
public:
    virtual ~DeviceProvider();
    /// May be null: the system's default device.   Objective-C: -mpsMTLDevice
    virtual std::shared_ptr<MTL::Device> mpsMTLDevice() const = 0;
};

}  // namespace MPS
