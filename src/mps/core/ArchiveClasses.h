#pragma once

#include <MPS/Archive.hpp>
#include <MPS/Kernel.hpp>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <typeindex>

namespace pewter::mps {

/// What archives can hold: how each class is made again, and what its kernels write beyond their base
/// classes.
class ArchivedClasses {
public:
    using Write = std::function<void(const MPS::SecureCoding&, MPS::Coder&)>;
    struct Entry {
        std::string name;
        std::type_index type;
        MPS::ArchivedClassFactory make;
        Write write;  ///< for the library's kernels; empty else
    };

    /// With the library's own classes in it.
    static ArchivedClasses& instance();

    void add(const std::string& name, const std::type_info& type, MPS::ArchivedClassFactory make,
             Write write = {});
    /// Null for a name or type that is not there; entries live for ever.
    const Entry* find(const std::string& name) const;
    const Entry* find(const std::type_info& type) const;
    std::vector<std::string> names() const;

    /// A kernel class: what its constructor needs is written and read here; the properties of its base
    /// classes follow by themselves. `make` gets the coder and the device.
    template <class K, class WriteOwn, class Make>
    void addKernel(const std::string& name, WriteOwn write, Make make) {
        add(
            name, typeid(K),
            [make](MPS::Coder& coder) -> std::shared_ptr<MPS::SecureCoding> {
                const std::shared_ptr<K> kernel = make(coder, coder.device());
                kernel->restoreProperties(coder);
                return kernel;
            },
            [write](const MPS::SecureCoding& object, MPS::Coder& coder) {
                write(dynamic_cast<const K&>(object), coder);
            });
    }
    /// A kernel class that is made from a device alone.
    template <class K>
    void addKernel(const std::string& name) {
        addKernel<K>(
            name, [](const K&, MPS::Coder&) {},
            [](MPS::Coder&, const std::shared_ptr<MTL::Device>& device) {
                return std::make_shared<K>(device);
            });
    }

private:
    mutable std::mutex mutex_;
    std::map<std::string, std::shared_ptr<const Entry>> byName_;
    std::map<std::type_index, const Entry*> byType_;
};

/// Adds padding policies and allocators.
void archiveCore(ArchivedClasses& classes);
/// Adds every kernel family: defined in mps/kernels/Archive.cpp, where the list is.
void archiveKernels(ArchivedClasses& classes);
/// Adds graphs: defined in mps/graph/ArchiveGraph.cpp.
void archiveGraphs(ArchivedClasses& classes);
/// Adds the data sources that learn: defined in train/ArchiveSources.cpp.
void archiveTraining(ArchivedClasses& classes);

/// The object's face for archives. Throws naming `who` and `key` when the object has none.
template <class T>
std::shared_ptr<const MPS::SecureCoding> securely(const std::shared_ptr<T>& object, const std::string& who,
                                                  const std::string& key) {
    auto coded = std::dynamic_pointer_cast<const MPS::SecureCoding>(object);
    if (object && !coded)
        throw MTL::Error(who, key, "an object with secure coding (derived from MPS::SecureCoding)",
                         "one without");
    return coded;
}

}  // namespace pewter::mps
