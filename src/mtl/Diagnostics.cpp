#include "mtl/Diagnostics.h"

#include <MTL/CommandBuffer.hpp>
#include <atomic>
#include <cstdio>
#include <mutex>

namespace {

std::mutex handlerMutex;
std::atomic<bool> strict{false};

std::function<void(const std::string&)>& handler() {
    static auto* slot = new std::function<void(const std::string&)>;
    return *slot;
}

}  // namespace

namespace MTL {

void setDiagnosticHandler(std::function<void(const std::string&)> newHandler) {
    std::lock_guard lock(handlerMutex);
    handler() = std::move(newHandler);
}

void setStrictTemporaries(bool on) { strict = on; }
bool strictTemporaries() { return strict; }

}  // namespace MTL

namespace pewter::mtl {

void diagnose(const std::string& message) {
    std::function<void(const std::string&)> call;
    {
        std::lock_guard lock(handlerMutex);
        call = handler();
    }
    if (call)
        call(message);
    else
        std::fprintf(stderr, "pewter: %s\n", message.c_str());
}

}  // namespace pewter::mtl
