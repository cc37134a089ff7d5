#pragma once

#include <MPS/Image.hpp>
#include <MPS/Kernel.hpp>
#include <MPS/State.hpp>
#include <MTL/CommandBuffer.hpp>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace MPS {
class NNFilterNode;
class NNPadding;
class NNStateNode;
}  // namespace MPS

namespace pewter::mps {

/// Arguments of one step of one encode: one batch a source, in the node's order.
struct StepArguments {
    std::shared_ptr<MTL::CommandBuffer> commandBuffer;
    std::vector<MPS::ImageBatch> images;
    std::vector<MPS::StateBatch> states;
    /// What makeStates() returned; empty when nobody wants the state.
    MPS::StateBatch resultStates;
    /// What makeFurtherStates() returned, for filters with several states.
    std::vector<MPS::StateBatch> furtherStates;
    /// Empty when the result is not needed and the step said that it can do without.
    MPS::ImageBatch destinations;
    /// False for the single-image form, whose images may hold several pictures.
    bool batch = true;
    /// For each source whether it lies in the result, or the result in it, so that nothing is to be copied between the
    /// two (concatenations). Empty: none does.
    std::vector<bool> isThere;
    /// Whether images[0] was made inside the graph and nobody reads it after this step.
    bool mayOverwriteFirst = false;
};

struct StepParts;

/// What a filter node turns into when a graph is compiled: one kernel, sometimes two, and how to run them.
/// A step keeps no reference to its node; the graph asks it in this order, once an encode:
///   describe() -> images made -> makeStates() -> encode() -> update().
class Step {
public:
    virtual ~Step() = default;

    /// The kernel that writes the result; handed to allocators, gives the step its name.
    virtual MPS::Kernel& kernel() = 0;

    /// Size of the result for representative sources (padding policies run here).
    virtual MPS::ImageDescriptor describe(const std::vector<std::shared_ptr<MPS::Image>>& images,
                                          const MPS::StateBatch& states) = 0;

    /// One state an image, or one repeated. Temporary when owner.commandBuffer is set. Empty: the step makes
    /// none.
    virtual MPS::StateBatch makeStates(const MPS::StateOwner& owner, const StepArguments& arguments);

    /// The states after the first, of filters that have several; wanted: one flag for each, in their order. Those that
    /// nobody wants stay empty.
    virtual std::vector<MPS::StateBatch> makeFurtherStates(const MPS::StateOwner& owner,
                                                           const StepArguments& arguments,
                                                           const std::vector<bool>& wanted);

    /// Records the work; lowers the read count of every source by what imageReads() and stateReads() say.
    virtual void encode(const StepArguments& arguments) = 0;
    /// The host's part, after the commands of encode() were appended to the buffer: just recorded, or recorded by an
    /// earlier encode of the same shapes.
    virtual void encoded(const std::shared_ptr<MTL::CommandBuffer>&) {}
    /// Whether there is one.
    virtual bool hasHostPart() const { return updates(); }

    /// How many of the step's kernels read source image / source state `index`.
    virtual std::size_t imageReads(std::size_t) const { return 1; }
    virtual std::size_t stateReads(std::size_t) const { return 1; }
    /// How often the step itself reads the state it makes (batch normalisation: once).
    virtual std::size_t ownStateReads() const { return 0; }

    /// Whether the result may lie where source image `index` does: every element of the source is read for the
    /// last time when the element of the result at its place is written.
    virtual bool canOverwrite(std::size_t) const { return false; }

    /// Whether the step adds to an image that is there already, instead of making its result.
    virtual bool addsToResult() const { return false; }

    // --- training ---

    /// Whether the step has something to do besides its result image: weights to update.
    virtual bool updates() const { return false; }
    /// Further reads of source state `index` by update().
    virtual std::size_t updateReads(std::size_t) const { return 0; }
    /// Whether source state `index` must outlive the command buffer (an update on the host).
    virtual bool needsPersistentState(std::size_t) const { return false; }
    /// Weight update of the data source, after encode(); states as in the arguments.
    virtual void update(const StepArguments&) {}
    /// What update() does to temporary memory and read counts as far as the data source lets it be known;
    /// asks nobody.
    virtual void planUpdate(const StepArguments& arguments);
    /// Told at compile time that nobody needs the result image. Returns whether the step then runs without
    /// destinations.
    virtual bool dropResult() { return false; }

    /// What the steps of one data source have in common: an update of it reaches them all. Null: nothing the graph updates.
    virtual const void* updateGroup() const { return nullptr; }

    // --- recomputation ---

    /// Whether recompute() gives what encode() gave, bit for bit, without other effects.
    virtual bool canRecompute() const { return false; }
    /// How dear that is for the size of the result, by rank: 0 for work that only moves memory.
    virtual int recomputeCost() const { return 0; }
    /// Whether recompute() reads the state that encode() wrote.
    virtual bool recomputesFromState() const { return false; }
    /// Records the kernel once more, for gradient kernels whose source was not kept; makes no state.
    virtual void recompute(const StepArguments& arguments) { encode(arguments); }

    // --- plans ---

    /// Whether commands that encode() recorded once do for every encode of the same shapes. Not so where user code is
    /// asked while encoding: custom padding policies, property callbacks, kernels of the user.
    virtual bool isReplayable();
    /// Says that they do not.
    void refuseReplay() { replayable_ = false; }
    /// A number that differs from run to run (which mask a dropout draws): from now on encode() records a look into
    /// this cell. Null: there is none. rewind() ends it.
    virtual std::shared_ptr<std::uint64_t> recordNumber() { return nullptr; }
    /// The number for the next run of recorded commands.
    virtual std::uint64_t nextNumber() { return 0; }
    /// Takes back what the last encode() or nextNumber() changed on the host: it was only planned, or failed.
    virtual void rewind() {}

    /// The options of all kernels, from now on.
    virtual void setOptions(MPS::KernelOptions options) { kernel().setOptions(options); }

    /// Re-reads the data source, now. Steps without one do nothing.
    virtual void reloadFromDataSource() {}

    /// What the step is made of, for copies and archives (StepParts.h). Default: throws MPS::Error, there is no way.
    virtual StepParts parts();
    /// Whether nobody has called refuseReplay().
    bool mayReplay() const { return replayable_; }

private:
    bool replayable_ = true;
};

/// Whether a policy is the user's, to be asked at every encode; ready-made ones answer alike for equal sources.
bool isUsers(const MPS::NNPadding& policy);

/// What the steps of one graph have in common.
class Sharing {
public:
    virtual ~Sharing() = default;
    /// That of the steps of one data source; null until one of them puts it there.
    virtual std::shared_ptr<void>& shared(const void* dataSource) = 0;
};

/// What a node may ask while it makes its step.
class Compilation : public Sharing {
public:
    virtual const std::shared_ptr<MTL::Device>& device() const = 0;
    /// Whether a filter of this graph consumes the state.
    virtual bool isConsumed(const MPS::NNStateNode& state) const = 0;
    /// Whether the state leaves the graph.
    virtual bool isExported(const MPS::NNStateNode& state) const = 0;
    /// The step of the filter that makes the state; null when the state is an input. Made before its
    /// consumers.
    virtual Step* producer(const MPS::NNStateNode& state) const = 0;
};

}  // namespace pewter::mps
