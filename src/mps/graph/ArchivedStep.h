#pragma once

#include <MPS/SecureCoding.hpp>
#include <memory>
#include <string>

#include "mps/graph/Program.h"
#include "mps/graph/StepParts.h"

namespace pewter::mps {

/// One step of an archived graph: what it is made of, the slots it touches, and the place of its forward
/// step.
class ArchivedStep final : public MPS::SecureCoding {
public:
    static constexpr const char* kName = "NNGraphStep";

    /// forward: the place of parts.forward, or kNone.
    ArchivedStep(const ProgramStep& step, StepParts parts, std::size_t forward);
    /// Every error names the kernel by its label.
    explicit ArchivedStep(MPS::Coder& coder);

    const char* className() const override { return kName; }
    void encodeWithCoder(MPS::Coder& coder) const override;

    /// How errors call it: its first kernel.
    const std::string& name() const { return name_; }
    const StepParts& parts() const { return parts_; }
    std::size_t forward() const { return forward_; }
    /// Without the step itself.
    const ProgramStep& slots() const { return slots_; }

private:
    void write(MPS::Coder& coder) const;
    void read(MPS::Coder& coder);

    std::string name_;
    StepParts parts_;
    std::size_t forward_ = kNone;
    ProgramStep slots_;
};

/// Slots as integers; kNone is -1.
void encodeSlots(MPS::Coder& coder, const std::vector<std::size_t>& slots, const char* key);
std::vector<std::size_t> decodeSlots(MPS::Coder& coder, const char* key);

/// Whoever makes the archive of an object that has one: names it, once.
template <class Do>
void withName(const std::string& name, Do run) {
    try {
        run();
    } catch (const MTL::Error& error) {
        const std::string sentence = error.what();
        if (name.empty() || sentence.starts_with(name)) throw;
        throw MTL::Error(name + ": " + sentence);
    }
}

}  // namespace pewter::mps
