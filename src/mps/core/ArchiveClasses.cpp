#include "mps/core/ArchiveClasses.h"

#include <fmt/format.h>

#include <MTL/Error.hpp>

namespace pewter::mps {

ArchivedClasses& ArchivedClasses::instance() {
    // Never destroyed: archives may be read while static objects die. Filled by name, not by static
    // constructors, which a linker leaves out of a static library.
    static auto& classes = *[] {
        auto* made = new ArchivedClasses;
        archiveCore(*made);
        archiveKernels(*made);
        archiveGraphs(*made);
        archiveTraining(*made);
        return made;
    }();
    return classes;
}

void ArchivedClasses::add(const std::string& name, const std::type_info& type, MPS::ArchivedClassFactory make,
                          Write write) {
    if (name.empty()) throw MTL::Error("RegisterArchivedClass", "name", "a name", "none");
    if (!make) throw MTL::Error("RegisterArchivedClass", "make", "a function", "null");
    std::lock_guard lock(mutex_);
    const auto named = byName_.find(name);
    const auto typed = byType_.find(type);
    if (named != byName_.end() && typed != byType_.end() && named->second.get() == typed->second) return;
    if (named != byName_.end())
        throw MTL::Error("RegisterArchivedClass", "name", "a name that no other class has",
                         fmt::format("\"{}\"", name));
    if (typed != byType_.end())
        throw MTL::Error("RegisterArchivedClass", "type", "a class that is not registered yet",
                         fmt::format("the one of \"{}\"", typed->second->name));
    auto entry = std::make_shared<const Entry>(Entry{name, type, std::move(make), std::move(write)});
    byType_.emplace(type, entry.get());
    byName_.emplace(name, std::move(entry));
}

const ArchivedClasses::Entry* ArchivedClasses::find(const std::string& name) const {
    std::lock_guard lock(mutex_);
    const auto it = byName_.find(name);
    return it == byName_.end() ? nullptr : it->second.get();
}

const ArchivedClasses::Entry* ArchivedClasses::find(const std::type_info& type) const {
    std::lock_guard lock(mutex_);
    const auto it = byType_.find(type);
    return it == byType_.end() ? nullptr : it->second;
}

std::vector<std::string> ArchivedClasses::names() const {
    std::lock_guard lock(mutex_);
    std::vector<std::string> names;
    for (const auto& [name, entry] : byName_) names.push_back(name);
    return names;
}

}  // namespace pewter::mps

namespace MPS {

void RegisterArchivedClass(const std::string& name, const std::type_info& type, ArchivedClassFactory make) {
    pewter::mps::ArchivedClasses::instance().add(name, type, std::move(make));
}

std::vector<std::string> ArchivedClassNames() { return pewter::mps::ArchivedClasses::instance().names(); }

}  // namespace MPS
