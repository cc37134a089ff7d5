#include <fmt/format.h>

#include <MPS/Archive.hpp>
#include <MTL/Device.hpp>
#include <algorithm>
#include <bit>
#include <cstring>
#include <new>
#include <stdexcept>

#include "mps/core/ArchiveClasses.h"
#include "mps/core/ArchiveFormat.h"

namespace MPS {

using pewter::mps::ArchivedClasses;
using Json = nlohmann::json;

struct KeyedUnarchiver::Contents {
    Json json;
    const Json* objects = nullptr;
    const Json* values = nullptr;
    std::vector<std::shared_ptr<SecureCoding>> made;
    /// Indices of the objects that are being made, innermost last.
    std::vector<std::size_t> open;

    const std::string& className(std::size_t object) const {
        return (*objects)[object][0].get_ref<const std::string&>();
    }
    const Json& current() const { return open.empty() ? *values : (*objects)[open.back()][1]; }
};

namespace {

/// Objects within objects; each level costs stack.
constexpr std::size_t kNesting = 32;

template <class T>
std::vector<T> unpacked(const Coder& coder, const std::string& key, const Json::binary_t& bytes) {
    if (bytes.size() % sizeof(T) != 0)
        coder.refuse(key, fmt::format("a list of elements of {} bytes", sizeof(T)),
                     fmt::format("{} bytes", bytes.size()));
    std::vector<T> values(bytes.size() / sizeof(T));
    if (!values.empty()) std::memcpy(values.data(), bytes.data(), bytes.size());
    if constexpr (std::endian::native == std::endian::big)
        for (T& value : values) {
            auto* first = reinterpret_cast<unsigned char*>(&value);
            std::reverse(first, first + sizeof(T));
        }
    return values;
}

}  // namespace

KeyedUnarchiver::KeyedUnarchiver(std::span<const std::uint8_t> data, std::shared_ptr<MTL::Device> device)
    : contents_(std::make_unique<Contents>()), device_(std::move(device)) {
    if (!device_) device_ = MTL::createSystemDefaultDevice();
    auto& c = *contents_;
    c.json = pewter::mps::unpackArchive(data);
    const auto part = [&](const char* key, Json::value_t type) {
        const auto it = c.json.is_object() ? c.json.find(key) : c.json.end();
        if (!c.json.is_object() || it == c.json.end() || it->type() != type)
            throw Error("archive", key, "the part of that name", "none");
        return &*it;
    };
    c.objects = part("objects", Json::value_t::array);
    c.values = part("values", Json::value_t::object);
    for (std::size_t i = 0; i < c.objects->size(); ++i) {
        const auto& object = (*c.objects)[i];
        if (!object.is_array() || object.size() != 2 || !object[0].is_string() || !object[1].is_object())
            throw Error("archive", fmt::format("object {}", i), "the name of a class and its values",
                        object.type_name());
    }
    c.made.resize(c.objects->size());
}

KeyedUnarchiver::~KeyedUnarchiver() = default;

std::shared_ptr<SecureCoding> KeyedUnarchiver::unarchivedObjectOfClasses(
    const std::vector<std::string>& classNames, std::span<const std::uint8_t> data,
    const std::shared_ptr<MTL::Device>& device) {
    KeyedUnarchiver unarchiver(data, device);
    const auto& c = *unarchiver.contents_;
    const auto root = c.values->find(kRootObjectKey);
    if (root != c.values->end() && root->is_object() && root->contains("object") &&
        (*root)["object"].is_number_unsigned() && (*root)["object"].get<std::uint64_t>() < c.made.size()) {
        const auto& found = c.className((*root)["object"].get<std::size_t>());
        if (std::find(classNames.begin(), classNames.end(), found) == classNames.end())
            throw Error("archive", kRootObjectKey,
                        fmt::format("an object of class {}", fmt::join(classNames, " or ")),
                        fmt::format("a {}", found));
    }
    return unarchiver.decodeObject(kRootObjectKey);  // which refuses any other root
}

std::string KeyedUnarchiver::name() const {
    return contents_->open.empty() ? "archive" : "archived " + contents_->className(contents_->open.back());
}

bool KeyedUnarchiver::containsValue(const std::string& key) const {
    return contents_->current().contains(key);
}

void KeyedUnarchiver::encode(Value, const std::string& key) {
    refuse(key, "a coder that writes", "one that reads");
}

std::shared_ptr<SecureCoding> KeyedUnarchiver::make(std::size_t object) {
    auto& c = *contents_;
    if (c.made[object]) return c.made[object];
    const auto& className = c.className(object);
    const auto* entry = ArchivedClasses::instance().find(className);
    if (!entry)
        refuse("class", "a class that archives can hold (see RegisterArchivedClass)",
               fmt::format("\"{}\"", className));
    if (std::find(c.open.begin(), c.open.end(), object) != c.open.end())
        refuse("object", "one that does not contain itself", fmt::format("a {}", className));
    if (c.open.size() >= kNesting)
        refuse("object", fmt::format("at most {} objects within one another", kNesting), "more");
    c.open.push_back(object);
    struct Close {
        std::vector<std::size_t>& open;
        std::size_t size;
        ~Close() { open.resize(size); }
    } const close{c.open, c.open.size() - 1};
    std::shared_ptr<SecureCoding> made;
    try {
        made = entry->make(*this);
    } catch (const std::bad_alloc&) {
        refuse("values", "sizes that fit into memory", "larger ones");
    } catch (const std::length_error&) {
        refuse("values", "sizes that fit into memory", "larger ones");
    }
    if (!made) refuse("values", "an object", "null");
    return c.made[object] = std::move(made);
}

Coder::Value KeyedUnarchiver::decode(const std::string& key) {
    const auto& values = contents_->current();
    const auto it = values.find(key);
    if (it == values.end()) refuse(key, "a value", "none");
    const Json& json = *it;
    switch (json.type()) {
        case Json::value_t::null:
            return std::shared_ptr<SecureCoding>();
        case Json::value_t::boolean:
            return Value(std::in_place_type<bool>, json.get<bool>());
        case Json::value_t::number_unsigned:
            return Value(std::in_place_type<std::uint64_t>, json.get<std::uint64_t>());
        case Json::value_t::number_integer:
            return Value(std::in_place_type<std::int64_t>, json.get<std::int64_t>());
        case Json::value_t::number_float:
            return Value(std::in_place_type<double>, json.get<double>());
        case Json::value_t::string:
            return json.get<std::string>();
        case Json::value_t::binary: {
            const auto& bytes = json.get_binary();
            return Value(std::in_place_type<std::vector<std::uint8_t>>, bytes.begin(), bytes.end());
        }
        default:
            break;
    }
    if (json.is_object() && json.size() == 1) {
        const auto only = json.begin();
        const std::string& type = only.key();
        const Json& content = only.value();
        if (type == "object" && content.is_number_unsigned()) {
            const auto object = content.get<std::uint64_t>();
            if (object >= contents_->made.size())
                refuse(key, fmt::format("one of {} objects", contents_->made.size()),
                       fmt::format("number {}", object));
            return make(static_cast<std::size_t>(object));
        }
        if (content.is_binary()) {
            if (type == "f32") return unpacked<float>(*this, key, content.get_binary());
            if (type == "f64") return unpacked<double>(*this, key, content.get_binary());
            if (type == "i64") return unpacked<std::int64_t>(*this, key, content.get_binary());
        }
    }
    refuse(key, "a value of a known type", json.type_name());
}

}  // namespace MPS
