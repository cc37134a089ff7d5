#pragma once

#include <cctype>
#include <map>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace pewter::test {

/// An element, in the order in which elements open. Text is its own, entities not resolved.
struct XmlElement {
    std::string name, text;
    std::map<std::string, std::string> attributes;
    std::size_t parent = static_cast<std::size_t>(-1);
};

/// As much of XML as a page needs to be well-formed: tags that nest, quoted attributes, known entities, no bare < or &.
/// Throws std::runtime_error that says where.
class TinyXml {
public:
    explicit TinyXml(std::string_view text) : text_(text) {
        if (text_.substr(0, 15) == "<!DOCTYPE html>") at_ = 15;
        while (at_ < text_.size()) {
            if (text_[at_] == '<')
                tag();
            else
                character();
        }
        if (!open_.empty()) fail("unclosed " + elements[open_.back()].name);
        if (elements.empty()) fail("no element");
    }

    std::vector<XmlElement> elements;

    /// Those with a class among their classes.
    std::vector<const XmlElement*> ofClass(const std::string& name) const {
        std::vector<const XmlElement*> found;
        for (const auto& element : elements) {
            const auto classes = element.attributes.find("class");
            if (classes != element.attributes.end() &&
                (" " + classes->second + " ").find(" " + name + " ") != std::string::npos)
                found.push_back(&element);
        }
        return found;
    }
    std::vector<const XmlElement*> childrenOf(const XmlElement& parent, const std::string& name) const {
        std::vector<const XmlElement*> found;
        for (const auto& element : elements)
            if (element.name == name && element.parent < elements.size() && &elements[element.parent] == &parent)
                found.push_back(&element);
        return found;
    }

private:
    [[noreturn]] void fail(const std::string& why) const {
        throw std::runtime_error(why + " at byte " + std::to_string(at_) + ": " +
                                 std::string(text_.substr(at_ < 30 ? 0 : at_ - 30, 60)));
    }
    char here() const { return at_ < text_.size() ? text_[at_] : '\0'; }
    void space() {
        while (std::isspace(static_cast<unsigned char>(here()))) ++at_;
    }
    std::string word() {
        const auto start = at_;
        while (std::isalnum(static_cast<unsigned char>(here())) || here() == '-' || here() == ':' || here() == '_') ++at_;
        if (at_ == start) fail("no name");
        return std::string(text_.substr(start, at_ - start));
    }
    void character() {
        if (here() == '&') {
            const auto end = text_.find(';', at_);
            const auto entity = end == text_.npos ? "" : text_.substr(at_ + 1, end - at_ - 1);
            if (entity != "amp" && entity != "lt" && entity != "gt" && entity != "quot" && entity != "#39") fail("bare &");
        }
        const auto byte = static_cast<unsigned char>(here());
        if (byte < 0x20 && byte != '\t' && byte != '\n' && byte != '\r') fail("control character");
        if (open_.empty() && !std::isspace(byte)) fail("text outside of the page");
        if (!open_.empty()) elements[open_.back()].text += here();
        ++at_;
    }
    void tag() {
        ++at_;
        if (here() == '/') {
            ++at_;
            const auto name = word();
            if (open_.empty() || elements[open_.back()].name != name) fail("</" + name + "> closes something else");
            open_.pop_back();
            if (here() != '>') fail("no >");
            ++at_;
            return;
        }
        XmlElement element;
        element.name = word();
        if (!open_.empty()) element.parent = open_.back();
        if (open_.empty() && !elements.empty()) fail("a second root");
        for (space(); here() != '>' && here() != '/'; space()) {
            const auto name = word();
            if (here() != '=' || text_.substr(at_ + 1, 1) != "\"") fail("attribute " + name + " without a value");
            at_ += 2;
            std::string value;
            for (; here() != '"'; ++at_) {
                if (here() == '<' || here() == '\0') fail("attribute " + name + " does not end");
                value += here();
            }
            ++at_;
            if (!element.attributes.emplace(name, value).second) fail("attribute " + name + " twice");
        }
        const bool isEmpty = here() == '/';
        if (isEmpty) ++at_;
        if (here() != '>') fail("no >");
        ++at_;
        elements.push_back(element);
        if (!isEmpty) open_.push_back(elements.size() - 1);
    }

    std::string_view text_;
    std::size_t at_ = 0;
    std::vector<std::size_t> open_;
};

}  // namespace pewter::test
