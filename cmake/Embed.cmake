# Writes the bytes of INPUT as pewter::data::SYMBOL into HEADER and SOURCE.
file(READ "${INPUT}" hex HEX)
string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," bytes "${hex}")
string(REGEX REPLACE "(0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,)" "\\1\n" bytes
       "${bytes}")
file(WRITE "${HEADER}" "#pragma once

#include <span>

namespace pewter::data {
extern const std::span<const unsigned char> ${SYMBOL};
}
")
file(WRITE "${SOURCE}" "#include \"data/${SYMBOL}.h\"

namespace pewter::data {
namespace {
constexpr unsigned char kBytes[] = {
${bytes}
};
}
constinit const std::span<const unsigned char> ${SYMBOL}{kBytes};
}
")
