#pragma once

#include <fstream>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <string>
#include <vector>

#include "OpTensors.h"
#include "ops/Neuron.h"

/// Reads tests/fixtures/*.json; tests/fixtures/README.md lists the fields.
namespace pewter::test {

using Json = nlohmann::json;

inline Json fixture(const std::string& family) {
    std::ifstream file(std::string(PEWTER_FIXTURES) + "/" + family + ".json");
    if (!file) throw std::runtime_error("no fixture file for " + family);
    return Json::parse(file);
}

/// The numbers of a tensor or of a plain list.
inline std::vector<double> numbers(const Json& json) {
    return (json.is_object() ? json.at("data") : json).get<std::vector<double>>();
}

/// A dense tensor of the four extents that the file gives; a null one for null.
inline OpTensor tensorOf(const Json& json, ops::Type type = ops::Type::Float64) {
    if (json.is_null()) return {};
    const auto shape = json.at("shape").get<std::vector<std::int64_t>>();
    return {type, shape.at(0), shape.at(1), shape.at(2), shape.at(3), numbers(json)};
}

inline OpArray arrayOf(const Json& json, ops::Type type = ops::Type::Float64) {
    return json.is_null() ? OpArray() : OpArray(type, numbers(json));
}

/// A neuron from its fields type (a name), a, b, c; null is no neuron.
inline ops::Neuron neuronOf(const Json& json) {
    static const std::vector<std::string> names = {
        "None",     "ReLU", "Linear", "Sigmoid", "HardSigmoid", "TanH",        "Absolute",  "SoftPlus",
        "SoftSign", "ELU",  "PReLU",  "ReLUN",   "Power",       "Exponential", "Logarithm", "GeLU"};
    ops::Neuron neuron;
    if (json.is_null()) return neuron;
    const auto name = json.at("type").get<std::string>();
    for (std::size_t i = 0; i < names.size(); ++i)
        if (names[i] == name) neuron.type = static_cast<ops::NeuronType>(i);
    if (neuron.type == ops::NeuronType::None && name != "None")
        throw std::runtime_error("unknown neuron " + name);
    neuron.a = json.at("a").get<float>();
    neuron.b = json.at("b").get<float>();
    neuron.c = json.at("c").get<float>();
    return neuron;
}

}  // namespace pewter::test
