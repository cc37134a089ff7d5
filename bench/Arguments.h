#pragma once

#include <MTL/Error.hpp>
#include <algorithm>
#include <charconv>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace pewter::bench {

/// Takes --key VALUE or --key=VALUE out of the arguments.
inline std::optional<std::string> takeOption(std::vector<char*>& arguments, const std::string& key) {
    for (auto at = arguments.begin() + 1; at != arguments.end(); ++at) {
        const std::string argument = *at;
        if (argument.starts_with(key + "=")) {
            arguments.erase(at);
            return argument.substr(key.size() + 1);
        }
        if (argument == key) {
            if (at + 1 == arguments.end()) throw MTL::Error(arguments.front(), key, "a value", "none");
            const std::string value = at[1];
            arguments.erase(at, at + 2);
            return value;
        }
    }
    return std::nullopt;
}

/// A whole number from 1, or what holds without the option.
inline std::size_t takeNumber(std::vector<char*>& arguments, const std::string& key, std::size_t otherwise) {
    const auto text = takeOption(arguments, key);
    if (!text) return otherwise;
    std::size_t number = 0;
    const auto [end, error] = std::from_chars(text->data(), text->data() + text->size(), number);
    if (error != std::errc() || end != text->data() + text->size() || number == 0)
        throw MTL::Error(arguments.front(), key, "a whole number from 1", "\"" + *text + "\"");
    return number;
}

inline bool takeFlag(std::vector<char*>& arguments, const std::string& key) {
    const auto found = std::find(arguments.begin(), arguments.end(), key);
    if (found == arguments.end()) return false;
    arguments.erase(found);
    return true;
}

}  // namespace pewter::bench
