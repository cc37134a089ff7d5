#include <cstdio>
#include <cstring>

#include <MTL/Error.hpp>

// A program outside the project: it has the installed package and nothing else.
int main() {
    try {
        throw MPS::Error("consumer", "argument", "three", "four");
    } catch (const MTL::Error& error) {
        std::puts(error.what());
        return std::strstr(error.what(), "expected three") != nullptr ? 0 : 1;
    }
}
