#include <fmt/format.h>

#include <MTL/Error.hpp>
#include <algorithm>
#include <cctype>
#include <fstream>
#include <functional>
#include <sstream>
#include <string_view>

#include "Coverage.h"

namespace pewter::coverage {

namespace fs = std::filesystem;

namespace {

bool isWordCharacter(char c) { return std::isalnum(static_cast<unsigned char>(c)) || c == '_'; }

void addWords(std::string_view text, std::set<std::string>& words) {
    for (std::size_t i = 0; i < text.size();) {
        std::size_t end = i;
        while (end < text.size() && isWordCharacter(text[end])) ++end;
        if (end > i) words.emplace(text.substr(i, end - i));
        i = end + 1;
    }
}

/// A header line by line, apart: what is code, and what its doc comments say.
struct Source {
    std::vector<std::string> code, comments;

    explicit Source(const std::string& text) {
        std::istringstream lines(text);
        for (std::string line; std::getline(lines, line);) {
            const auto slashes = line.find("//");
            code.push_back(line.substr(0, slashes));
            const bool doc = slashes != std::string::npos && line.compare(slashes, 3, "///") == 0;
            comments.push_back(doc ? line.substr(slashes + 3) : "");
        }
    }
};

/// Both readings of [optional:] parts.
void expand(const std::string& token, std::set<std::string>& tokens) {
    const auto open = token.find('['), close = token.find(']');
    if (open == std::string::npos || close == std::string::npos || close < open) {
        tokens.insert(token);
        return;
    }
    expand(token.substr(0, open) + token.substr(close + 1), tokens);
    expand(token.substr(0, open) + token.substr(open + 1, close - open - 1) + token.substr(close + 1),
           tokens);
}

/// Words that begin with -, + or an ellipsis (here *) and may be selectors.
void addSelectors(const std::string& text, std::set<std::string>& selectors) {
    const auto isPart = [](char c) {
        return isWordCharacter(c) || c == ':' || c == '*' || c == '[' || c == ']';
    };
    for (std::size_t i = 0; i + 1 < text.size(); ++i) {
        const bool begins = (text[i] == '-' || text[i] == '+' || text[i] == '*') &&
                            (i == 0 || text[i - 1] == ' ' || text[i - 1] == '(') &&
                            (std::isalpha(static_cast<unsigned char>(text[i + 1])) || text[i + 1] == '[');
        if (!begins) continue;
        std::size_t end = i + 1;
        while (end < text.size() && isPart(text[end])) ++end;
        expand(text.substr(i, end - i), selectors);
        i = end - 1;
    }
}

/// The selectors of a run of comment lines. One that is broken after a colon is read both ways.
void addSelectors(const std::vector<std::string>& comments, std::set<std::string>& selectors) {
    std::string spaced, joined;
    for (std::string line : comments) {
        for (std::size_t at; (at = line.find("\u2026")) != std::string::npos;) line.replace(at, 3, "*");
        const auto from = line.find_first_not_of(' ');
        line = from == std::string::npos ? "" : line.substr(from);
        const bool goesOn = !joined.empty() && joined.back() == ':' && !line.empty() &&
                            (std::islower(static_cast<unsigned char>(line[0])) || line[0] == '[');
        joined += (goesOn ? "" : " ") + line;
        spaced.append(" ").append(line);
    }
    addSelectors(spaced, selectors);
    addSelectors(joined, selectors);
}

/// `pattern` has * for any text.
bool matches(std::string_view pattern, std::string_view text) {
    const auto star = pattern.find('*');
    if (star == std::string_view::npos) return pattern == text;
    if (!text.starts_with(pattern.substr(0, star))) return false;
    text.remove_prefix(star);
    pattern.remove_prefix(star + 1);
    for (;; text.remove_prefix(1)) {
        if (matches(pattern, text)) return true;
        if (text.empty()) return false;
    }
}

bool carries(const std::set<std::string>& selectors, const std::string& selector) {
    if (selectors.contains(selector)) return true;
    return std::ranges::any_of(selectors, [&](const std::string& pattern) {
        // An abbreviated one says nothing of the sign.
        return pattern.find('*') != std::string::npos &&
               (matches(pattern, selector) || matches(pattern, std::string_view(selector).substr(1)));
    });
}

/// "MPSCNNPooling" is CNNPooling in namespace MPS.
std::string bare(const std::string& name) {
    return name.starts_with("MPS") || name.starts_with("MTL") ? name.substr(3) : name;
}

}  // namespace

void HeaderIndex::add(const std::string& text) {
    const Source source(text);
    for (std::size_t i = 0; i < source.code.size(); ++i) {
        addWords(source.comments[i], apples_);
        addWords(source.code[i], words_);
    }
    for (std::size_t i = 0; i < source.code.size(); ++i) {
        std::istringstream words(source.code[i]);
        std::string word, name;
        words >> word;
        if (word != "class" && word != "struct") continue;
        while (words >> name && (name == "PEWTER_API" || name == "final")) {
        }
        // The head goes on to the brace; without one this is a forward declaration.
        std::string head;
        std::size_t last = i;
        for (; last < source.code.size(); ++last) {
            head += source.code[last] + ' ';
            if (source.code[last].find_first_of("{;") != std::string::npos) break;
        }
        const auto brace = head.find('{');
        if (brace == std::string::npos || head.find(';') < brace) continue;
        while (!name.empty() && !isWordCharacter(name.back())) name.pop_back();
        auto& declared = classes_[name];
        if (const auto colon = head.find(" : "); colon < brace) {
            std::istringstream bases(head.substr(colon + 3, brace - colon - 3));
            for (std::string base; bases >> base;) {
                while (!base.empty() && base.back() == ',') base.pop_back();
                if (base != "public" && base != "virtual") declared.bases.push_back(base);
            }
        }
        std::size_t first = i;
        while (first > 0 && !source.comments[first - 1].empty()) --first;
        int depth = 0;
        for (last = i; last < source.code.size(); ++last) {
            depth += static_cast<int>(std::ranges::count(source.code[last], '{'));
            depth -= static_cast<int>(std::ranges::count(source.code[last], '}'));
            addWords(source.code[last], declared.words);
            if (depth == 0 && source.code[last].find('}') != std::string::npos) break;
        }
        std::vector<std::string> run;
        for (std::size_t l = first; l <= last && l < source.code.size(); ++l) {
            if (!source.comments[l].empty()) run.push_back(source.comments[l]);
            if (source.comments[l].empty() || l == last) {
                addSelectors(run, declared.selectors);
                run.clear();
            }
        }
    }
}

HeaderIndex HeaderIndex::read(const fs::path& folder) {
    HeaderIndex index;
    std::vector<fs::path> files;
    if (fs::is_directory(folder))
        for (const auto& entry : fs::recursive_directory_iterator(folder))
            if (entry.path().extension() == ".hpp") files.push_back(entry.path());
    if (files.empty())
        throw MTL::Error("coverage", "--source", "a source tree with headers in include",
                         fmt::format("\"{}\"", folder.string()));
    for (const auto& path : files) {
        std::ifstream file(path, std::ios::binary);
        index.add({std::istreambuf_iterator<char>(file), {}});
    }
    return index;
}

std::vector<const HeaderIndex::Class*> HeaderIndex::relatives(const std::string& name) const {
    std::set<std::string> found;
    const std::function<void(const std::string&)> up = [&](const std::string& own) {
        const auto it = classes_.find(own);
        if (it == classes_.end() || !found.insert(own).second) return;
        for (const auto& base : it->second.bases) up(base);
    };
    // What derives from it: an abstract class of Apple's may leave its initialisers to those here.
    const std::function<bool(const std::string&)> derives = [&](const std::string& own) {
        const auto it = classes_.find(own);
        return it != classes_.end() && std::ranges::any_of(it->second.bases, [&](const std::string& base) {
                   return base == name || derives(base);
               });
    };
    up(name);
    for (const auto& [other, unused] : classes_)
        if (derives(other)) found.insert(other);
    std::vector<const Class*> classes;
    for (const auto& own : found) classes.push_back(&classes_.at(own));
    return classes;
}

std::string HeaderIndex::missing(const Line& line) const {
    if (line.owner == "-") {
        const auto name = line.member.substr(0, line.member.find('('));
        if (!apples_.contains(name)) return fmt::format("no doc comment of a public header says {}", name);
        return "";
    }
    const auto name = bare(line.owner);
    if (!classes_.contains(name) && !words_.contains(name))
        return fmt::format("no public header declares {}", name);
    if (!apples_.contains(line.owner))
        return fmt::format("no doc comment of a public header says {}", line.owner);
    if (line.isClass()) return "";

    const bool isSelector = line.member.front() == '-' || line.member.front() == '+';
    const auto plain = isSelector ? line.member.substr(1) : line.member;
    const bool hasArguments = plain.find(':') != std::string::npos;
    auto twin = line.member;
    // A constructor takes the place of both.
    if (twin.starts_with("-initWith")) twin.replace(0, 9, "+nodeWith");
    for (const auto* declared : relatives(name)) {
        if (isSelector && (carries(declared->selectors, line.member) || carries(declared->selectors, twin)))
            return "";
        if (hasArguments) continue;
        if (declared->words.contains(plain) || declared->selectors.contains("-" + plain)) return "";
    }
    return hasArguments
               ? fmt::format("no doc comment of {}, its bases or what derives from it carries {}", name,
                             line.member)
               : fmt::format("neither {} nor its bases nor what derives from it declares {}", name, plain);
}

}  // namespace pewter::coverage
