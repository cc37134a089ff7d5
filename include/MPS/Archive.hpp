#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <typeinfo>
#include <variant>
#include <vector>

#include <MPS/SecureCoding.hpp>
#include <MTL/Error.hpp>

/// Secure coding: kernels, padding policies, allocators, descriptors and data sources as bytes, and back.
///
///     const auto bytes = MPS::KeyedArchiver::archivedData(kernel);
///     const auto again = MPS::KeyedUnarchiver::unarchivedObjectOfClass<MPS::CNNPoolingMax>(bytes, device);
///
/// The bytes are this library's own: a header (magic, version, length, checksum) and CBOR. Reading checks
/// everything and throws MPS::Error with one sentence for what is cut, damaged, unknown or of another type.
namespace MPS {

/// NSCoder: values under keys, one set of them for each object.
///
/// Every decode throws MPS::Error for a key that is missing and for a value of another type; numbers are
/// checked against the range of what is asked for.
class PEWTER_API Coder {
public:
    using Value = std::variant<bool, std::int64_t, std::uint64_t, double, std::string,
                               std::vector<std::uint8_t>, std::vector<float>, std::vector<double>,
                               std::vector<std::int64_t>, std::shared_ptr<SecureCoding>>;

    virtual ~Coder();

    /// How errors call what is being written or read: "archived CNNPoolingMax".
    virtual std::string name() const = 0;

    /// Objective-C: -encodeBool:forKey: and so on. A key may be used once in an object.
    void encodeBool(bool value, const std::string& key);
    void encodeInteger(std::int64_t value, const std::string& key);
    void encodeUnsigned(std::uint64_t value, const std::string& key);
    void encodeDouble(double value, const std::string& key);
    void encodeString(const std::string& value, const std::string& key);
    void encodeBytes(std::span<const std::uint8_t> values, const std::string& key);
    void encodeFloats(std::span<const float> values, const std::string& key);
    void encodeDoubles(std::span<const double> values, const std::string& key);
    void encodeIntegers(std::span<const std::int64_t> values, const std::string& key);
    /// Null is allowed. An object that several others hold is written once and shared again after reading.
    /// Objective-C: -encodeObject:forKey:
    void encodeObject(std::shared_ptr<const SecureCoding> object, const std::string& key);

    /// Objective-C: -containsValueForKey:
    virtual bool containsValue(const std::string& key) const = 0;

    /// Objective-C: -decodeBoolForKey: and so on.
    bool decodeBool(const std::string& key);
    std::int64_t decodeInteger(const std::string& key);
    std::uint64_t decodeUnsigned(const std::string& key);
    std::size_t decodeSize(const std::string& key) { return static_cast<std::size_t>(decodeUnsigned(key)); }
    double decodeDouble(const std::string& key);
    float decodeFloat(const std::string& key);
    std::string decodeString(const std::string& key);
    std::vector<std::uint8_t> decodeBytes(const std::string& key);
    std::vector<float> decodeFloats(const std::string& key);
    std::vector<double> decodeDoubles(const std::string& key);
    std::vector<std::int64_t> decodeIntegers(const std::string& key);
    /// Null where null was written.
    std::shared_ptr<SecureCoding> decodeObject(const std::string& key);
    /// Throws MPS::Error for an object that is no T, which may be an interface such as NNPadding.
    /// Objective-C: -decodeObjectOfClass:forKey:
    template <class T>
    std::shared_ptr<T> decodeObjectOfClass(const std::string& key) {
        auto object = decodeObject(key);
        auto result = std::dynamic_pointer_cast<T>(object);
        if (object && !result) refuseClass(key, *object, typeid(T));
        return result;
    }
    /// An enumerator from 0 to `last`.
    template <class E>
    E decodeEnum(const std::string& key, E last) {
        const auto value = decodeUnsigned(key);
        if (value > static_cast<std::uint64_t>(last))
            refuseEnum(key, value, static_cast<std::uint64_t>(last));
        return static_cast<E>(value);
    }

    /// The device for decoded objects: mpsMTLDevice() of a coder that is a DeviceProvider, else the system's
    /// default.
    std::shared_ptr<MTL::Device> device() const;

    /// Throws MPS::Error about a value that was read: "<name()>: <key>: expected <expected>, found <found>."
    [[noreturn]] void refuse(const std::string& key, const std::string& expected,
                             const std::string& found) const;

protected:
    virtual void encode(Value value, const std::string& key) = 0;
    /// Throws for a key that is missing.
    virtual Value decode(const std::string& key) = 0;

private:
    [[noreturn]] void refuseClass(const std::string& key, const SecureCoding& object,
                                  const std::type_info& expected) const;
    [[noreturn]] void refuseEnum(const std::string& key, std::uint64_t value, std::uint64_t last) const;
};

using ArchiveData = std::vector<std::uint8_t>;

/// NSKeyedArchiver.
class PEWTER_API KeyedArchiver final : public Coder {
public:
    KeyedArchiver();
    ~KeyedArchiver() override;

    /// Throws MPS::Error for null, for a class that is not registered, and for an object that contains
    /// itself. Objective-C: +archivedDataWithRootObject:requiringSecureCoding:error:
    static ArchiveData archivedData(const std::shared_ptr<const SecureCoding>& rootObject);

    /// The same into a file, which is replaced once everything is written; throws MPS::Error with the path when it
    /// cannot be. Objective-C: +archiveRootObject:toFile:
    static void archiveRootObject(const std::shared_ptr<const SecureCoding>& rootObject, const std::string& path);
    /// encodedData() into a file, likewise.
    void writeToFile(const std::string& path) const;

    /// What was encoded so far, for archives of several objects under keys of their own.   Objective-C:
    /// -encodedData
    ArchiveData encodedData() const;

    std::string name() const override;
    bool containsValue(const std::string& key) const override;

protected:
    void encode(Value value, const std::string& key) override;
    Value decode(const std::string& key) override;

private:
    struct Contents;
    std::unique_ptr<Contents> contents_;
};

/// MPSKeyedUnarchiver: reads what KeyedArchiver wrote, onto a device. Source: MPSKeyedUnarchiver.h.
class PEWTER_API KeyedUnarchiver final : public Coder, public DeviceProvider {
public:
    /// The key of archivedData()'s root object.
    static constexpr const char* kRootObjectKey = "root";

    /// Reads and checks everything but the objects, which are made when they are decoded. A null device means
    /// the system's default.   Objective-C: -initForReadingFromData:device:error:
    KeyedUnarchiver(std::span<const std::uint8_t> data, std::shared_ptr<MTL::Device> device);
    ~KeyedUnarchiver() override;

    /// The root object, whose class must be one of the names; nothing is made otherwise.
    /// Objective-C: +unarchivedObjectOfClasses:fromData:device:error:
    static std::shared_ptr<SecureCoding> unarchivedObjectOfClasses(
        const std::vector<std::string>& classNames, std::span<const std::uint8_t> data,
        const std::shared_ptr<MTL::Device>& device);
    /// The root object as a T, which may be a base class.
    /// Objective-C: +unarchivedObjectOfClass:fromData:device:error:
    template <class T>
    static std::shared_ptr<T> unarchivedObjectOfClass(std::span<const std::uint8_t> data,
                                                      const std::shared_ptr<MTL::Device>& device) {
        return KeyedUnarchiver(data, device).template decodeObjectOfClass<T>(kRootObjectKey);
    }

    /// Of a file that a KeyedArchiver wrote: what a constructor takes. Throws MPS::Error with the path when it cannot be
    /// read.
    static ArchiveData dataOfFile(const std::string& path);
    /// The root object of a file (extension; the original's reader of files is among the deprecated creators below).
    template <class T>
    static std::shared_ptr<T> unarchivedObjectOfFile(const std::string& path,
                                                     const std::shared_ptr<MTL::Device>& device) {
        return unarchivedObjectOfClass<T>(dataOfFile(path), device);
    }

    std::shared_ptr<MTL::Device> mpsMTLDevice() const override { return device_; }
    std::string name() const override;
    bool containsValue(const std::string& key) const override;

    /// The deprecated creators return null, as MPS has done since macOS 10.14.
    /// Objective-C: +unarchiveObjectWithData:device:
    static std::shared_ptr<SecureCoding> unarchiveObject(std::span<const std::uint8_t>,
                                                         const std::shared_ptr<MTL::Device>&) {
        return nullptr;
    }
    /// Objective-C: +unarchiveObjectWithFile:device:
    static std::shared_ptr<SecureCoding> unarchiveObject(const std::string&,
                                                         const std::shared_ptr<MTL::Device>&) {
        return nullptr;
    }
    /// Objective-C: +unarchiveTopLevelObjectWithData:device:error:
    static std::shared_ptr<SecureCoding> unarchiveTopLevelObject(std::span<const std::uint8_t>,
                                                                 const std::shared_ptr<MTL::Device>&) {
        return nullptr;
    }
    /// Objective-C: -initWithDevice:
    static std::shared_ptr<KeyedUnarchiver> init(const std::shared_ptr<MTL::Device>&) { return nullptr; }
    /// Objective-C: -initForReadingWithData:device:
    static std::shared_ptr<KeyedUnarchiver> initForReading(std::span<const std::uint8_t>,
                                                           const std::shared_ptr<MTL::Device>&) {
        return nullptr;
    }

protected:
    void encode(Value value, const std::string& key) override;
    Value decode(const std::string& key) override;

private:
    std::shared_ptr<SecureCoding> make(std::size_t object);

    struct Contents;
    std::unique_ptr<Contents> contents_;
    std::shared_ptr<MTL::Device> device_;
};

/// Makes an object from what its encodeWithCoder() wrote.
using ArchivedClassFactory = std::function<std::shared_ptr<SecureCoding>(Coder&)>;

/// Lets archives hold objects of exactly this type under this name; className() of the objects must return
/// it. Saying the same again does no harm; throws MPS::Error when either is taken. Kernels of the library are
/// there from the start. Objective-C: +setClass:forClassName:
PEWTER_API void RegisterArchivedClass(const std::string& name, const std::type_info& type,
                                      ArchivedClassFactory make);

/// For a class with a constructor from a Coder (-initWithCoder:).
template <class T>
void RegisterArchivedClass(const std::string& name) {
    RegisterArchivedClass(name, typeid(T), [](Coder& coder) { return std::make_shared<T>(coder); });
}

/// Every name that archives can hold, sorted.
PEWTER_API std::vector<std::string> ArchivedClassNames();

}  // namespace MPS
