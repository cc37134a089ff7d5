#include <fmt/format.h>

#include <MPS/Archive.hpp>
#include <bit>
#include <cstring>
#include <unordered_map>

#include "mps/core/ArchiveClasses.h"
#include "mps/core/ArchiveFormat.h"

namespace MPS {

using pewter::mps::ArchivedClasses;
using Json = nlohmann::json;

struct KeyedArchiver::Contents {
    struct Object {
        std::shared_ptr<const SecureCoding> object;  ///< kept, so that no other takes its address
        std::string className;
        Json values = Json::object();
    };
    Json values = Json::object();
    std::vector<Object> objects;
    std::unordered_map<const SecureCoding*, std::size_t> places;
    /// Indices of the objects that are being written, innermost last.
    std::vector<std::size_t> open;
};

namespace {

/// A list as {"f32": bytes}: the name says what the bytes are.
template <class T>
Json packed(const char* type, const std::vector<T>& values) {
    std::vector<std::uint8_t> bytes(values.size() * sizeof(T));
    if (!values.empty()) std::memcpy(bytes.data(), values.data(), bytes.size());
    if constexpr (std::endian::native == std::endian::big)
        for (std::size_t i = 0; i < bytes.size(); i += sizeof(T))
            std::reverse(bytes.begin() + static_cast<std::ptrdiff_t>(i),
                         bytes.begin() + static_cast<std::ptrdiff_t>(i + sizeof(T)));
    Json json = Json::object();
    json[type] = Json::binary(std::move(bytes));
    return json;
}

template <class... F>
struct Overloaded : F... {
    using F::operator()...;
};

}  // namespace

KeyedArchiver::KeyedArchiver() : contents_(std::make_unique<Contents>()) {}
KeyedArchiver::~KeyedArchiver() = default;

ArchiveData KeyedArchiver::archivedData(const std::shared_ptr<const SecureCoding>& rootObject) {
    if (!rootObject) throw Error("KeyedArchiver", "rootObject", "an object", "null");
    KeyedArchiver archiver;
    archiver.encodeObject(rootObject, KeyedUnarchiver::kRootObjectKey);
    return archiver.encodedData();
}

ArchiveData KeyedArchiver::encodedData() const {
    Json objects = Json::array();
    for (const auto& object : contents_->objects)
        objects.push_back(Json::array({object.className, object.values}));
    return pewter::mps::packArchive({{"objects", std::move(objects)}, {"values", contents_->values}});
}

std::string KeyedArchiver::name() const {
    if (contents_->open.empty()) return "KeyedArchiver";
    return "archived " + contents_->objects[contents_->open.back()].className;
}

bool KeyedArchiver::containsValue(const std::string& key) const {
    const auto& values =
        contents_->open.empty() ? contents_->values : contents_->objects[contents_->open.back()].values;
    return values.contains(key);
}

void KeyedArchiver::encode(Value value, const std::string& key) {
    if (key.empty()) throw Error(name(), "key", "a key", "an empty one");
    if (containsValue(key)) throw Error(name(), key, "a key that the object does not use yet", "one in use");
    auto& c = *contents_;
    const auto object = [&](const std::shared_ptr<SecureCoding>& o) -> Json {
        if (!o) return nullptr;
        if (const auto known = c.places.find(o.get()); known != c.places.end()) {
            for (const auto open : c.open)
                if (open == known->second)
                    throw Error(name(), key, "an object that does not contain itself",
                                c.objects[open].className);
            return {{"object", known->second}};
        }
        const auto* entry = ArchivedClasses::instance().find(typeid(*o));
        if (!entry)
            throw Error(name(), key,
                        "an object of a class that archives can hold (see RegisterArchivedClass)",
                        fmt::format("{}a {}",
                                    ArchivedClasses::instance().find(std::string(o->className()))
                                        ? "a class of its own derived from "
                                        : "",
                                    o->className()));
        if (entry->name != o->className())
            throw Error(name(), key, fmt::format("className() to be \"{}\", as registered", entry->name),
                        fmt::format("\"{}\"", o->className()));
        const auto place = c.objects.size();
        c.objects.push_back({o, entry->name, Json::object()});
        c.places.emplace(o.get(), place);
        c.open.push_back(place);
        try {
            o->encodeWithCoder(*this);
        } catch (...) {
            c.open.pop_back();
            c.places.erase(o.get());  // what it has written so far is never referred to
            throw;
        }
        c.open.pop_back();
        return {{"object", place}};
    };
    Json json =
        std::visit(Overloaded{[](bool v) -> Json { return v; }, [](std::int64_t v) -> Json { return v; },
                              [](std::uint64_t v) -> Json { return v; }, [](double v) -> Json { return v; },
                              [](std::string& v) -> Json { return std::move(v); },
                              [](std::vector<std::uint8_t>& v) -> Json { return Json::binary(std::move(v)); },
                              [](std::vector<float>& v) { return packed("f32", v); },
                              [](std::vector<double>& v) { return packed("f64", v); },
                              [](std::vector<std::int64_t>& v) { return packed("i64", v); }, object},
                   value);
    (c.open.empty() ? c.values : c.objects[c.open.back()].values)[key] = std::move(json);
}

Coder::Value KeyedArchiver::decode(const std::string& key) {
    throw Error(name(), key, "a coder that reads", "one that writes");
}

}  // namespace MPS
