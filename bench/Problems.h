#pragma once

#include <fmt/format.h>

#include <MTL/Error.hpp>
#include <array>
#include <charconv>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <map>
#include <sstream>
#include <string>
#include <vector>

namespace pewter::bench {

/// One line of a problem list: NAME OPERATION[,OPERATION...] SOURCE [KEY=VALUE...], where SOURCE is NxHxWxC.
struct Problem {
    std::string name;
    std::vector<std::string> operations;
    std::array<std::int64_t, 4> source{};
    std::map<std::string, std::int64_t> values;

    std::int64_t value(const std::string& key, std::int64_t otherwise) const {
        const auto found = values.find(key);
        return found == values.end() ? otherwise : found->second;
    }
};

namespace detail {

inline std::vector<std::string> splitAt(const std::string& text, char separator) {
    std::vector<std::string> parts;
    std::istringstream stream(text);
    for (std::string part; std::getline(stream, part, separator);) parts.push_back(part);
    return parts;
}

inline std::int64_t numberIn(const std::string& text, const std::string& where) {
    std::int64_t number = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (error != std::errc() || end != text.data() + text.size() || number < 0)
        throw MTL::Error(where, "number", "a whole number from 0", fmt::format("\"{}\"", text));
    return number;
}

}  // namespace detail

/// Reads a list; # starts a comment. Throws MTL::Error with file and line.
inline std::vector<Problem> readProblems(const std::filesystem::path& path) {
    std::ifstream file(path);
    if (!file)
        throw MTL::Error("bench", "--problems", "a problem list", fmt::format("\"{}\"", path.string()));
    std::vector<Problem> problems;
    std::string line;
    for (int number = 1; std::getline(file, line); ++number) {
        const std::string where = fmt::format("{}:{}", path.string(), number);
        std::istringstream words(line.substr(0, line.find('#')));
        Problem problem;
        std::string operations, source;
        if (!(words >> problem.name)) continue;
        if (!(words >> operations >> source))
            throw MTL::Error(where, "line", "NAME OPERATIONS NxHxWxC", fmt::format("\"{}\"", line));
        problem.operations = detail::splitAt(operations, ',');
        const auto extents = detail::splitAt(source, 'x');
        if (extents.size() != 4) throw MTL::Error(where, "source", "NxHxWxC", fmt::format("\"{}\"", source));
        for (std::size_t i = 0; i < 4; ++i) {
            problem.source[i] = detail::numberIn(extents[i], where);
            if (problem.source[i] == 0) throw MTL::Error(where, "source", "extents of at least 1", "0");
        }
        for (std::string word; words >> word;) {
            const auto equals = word.find('=');
            if (equals == std::string::npos)
                throw MTL::Error(where, "setting", "KEY=VALUE", fmt::format("\"{}\"", word));
            problem.values[word.substr(0, equals)] = detail::numberIn(word.substr(equals + 1), where);
        }
        problems.push_back(std::move(problem));
    }
    return problems;
}

}  // namespace pewter::bench
