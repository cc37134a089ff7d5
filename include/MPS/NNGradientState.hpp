#pragma once

#include <memory>
#include <string>
#include <vector>

#include <MPS/State.hpp>

namespace pewter::mps {
struct ForwardRecord;
}

namespace MPS {

/// MPSNNGradientState: the record of a kernel as it was when it was encoded, made by the forward kernel, consumed by its
/// gradient kernel.
///
/// Obtained from a kernel's resultState / temporaryResultState methods or from an encode that returns one; written again
/// by the encode that gets it as destination state. Later changes of the forward kernel do not reach it. Good for one
/// forward and backward pass. Source: MPSNNGradientState.h.
class PEWTER_API NNGradientState : public State, public ImageSizeEncodingState {
public:
    ~NNGradientState() override;

    /// Size of the image the forward kernel read; 0 before anything is recorded.
    std::size_t sourceWidth() const override;
    std::size_t sourceHeight() const override;

    /// Copies the forward geometry into the secondary properties of a gradient kernel and gives its result the size and
    /// channels of the forward source.
    ImageDescriptor destinationImageDescriptor(const std::vector<std::shared_ptr<Image>>& sourceImages,
                                               const StateBatch& sourceStates, Kernel& kernel,
                                               const ImageDescriptor& suggestedDescriptor) override;

    const char* className() const override { return "NNGradientState"; }

    /// What the forward encode recorded; null before. For kernels of the library.
    const std::shared_ptr<const pewter::mps::ForwardRecord>& record() const { return record_; }
    void setRecord(std::shared_ptr<const pewter::mps::ForwardRecord> record) { record_ = std::move(record); }

    /// For kernels that make one.
    explicit NNGradientState(const StateOwner& owner, const StateResourceList& resources = {});

protected:
    void describe(Facts& facts) const override;

private:
    std::shared_ptr<const pewter::mps::ForwardRecord> record_;
};

/// MPSNNGradientStateBatch.
using NNGradientStateBatch = std::vector<std::shared_ptr<NNGradientState>>;

/// MPSNNBinaryGradientState: the record of a kernel with two sources.
class PEWTER_API NNBinaryGradientState : public State {
public:
    ~NNBinaryGradientState() override;
    ImageDescriptor destinationImageDescriptor(const std::vector<std::shared_ptr<Image>>& sourceImages,
                                               const StateBatch& sourceStates, Kernel& kernel,
                                               const ImageDescriptor& suggestedDescriptor) override;
    const char* className() const override { return "NNBinaryGradientState"; }

    /// What the forward encode recorded for its primary and secondary source; null before.
    const std::shared_ptr<const pewter::mps::ForwardRecord>& primaryRecord() const { return primary_; }
    const std::shared_ptr<const pewter::mps::ForwardRecord>& secondaryRecord() const { return secondary_; }
    void setRecords(std::shared_ptr<const pewter::mps::ForwardRecord> primary,
                    std::shared_ptr<const pewter::mps::ForwardRecord> secondary) {
        primary_ = std::move(primary);
        secondary_ = std::move(secondary);
    }

    /// For kernels that make one.
    explicit NNBinaryGradientState(const StateOwner& owner, const StateResourceList& resources = {});

protected:
    void describe(Facts& facts) const override;

private:
    std::shared_ptr<const pewter::mps::ForwardRecord> primary_, secondary_;
};

/// MPSNNBinaryGradientStateBatch.
using NNBinaryGradientStateBatch = std::vector<std::shared_ptr<NNBinaryGradientState>>;

/// MPSNNMultiaryGradientState: the record of a kernel with any number of sources.
class PEWTER_API NNMultiaryGradientState : public State {
public:
    ~NNMultiaryGradientState() override;
    const char* className() const override { return "NNMultiaryGradientState"; }
    const std::vector<std::shared_ptr<const pewter::mps::ForwardRecord>>& records() const { return records_; }
    void setRecords(std::vector<std::shared_ptr<const pewter::mps::ForwardRecord>> records) {
        records_ = std::move(records);
    }

    /// For kernels that make one.
    explicit NNMultiaryGradientState(const StateOwner& owner, const StateResourceList& resources = {});

protected:
    void describe(Facts& facts) const override;

private:
    std::vector<std::shared_ptr<const pewter::mps::ForwardRecord>> records_;
};

/// MPSNNMultiaryGradientStateBatch.
using NNMultiaryGradientStateBatch = std::vector<std::shared_ptr<NNMultiaryGradientState>>;

}  // namespace MPS
