#include <gtest/gtest.h>

#include <MPS/KernelTypes.hpp>
#include <MPS/Types.hpp>
#include <MTL/Error.hpp>

// Multiplication and shift give the quotient of every 16-bit dividend, for every divisor.
TEST(KernelTypes, IntegerDivisionIsExact) {
    for (std::uint32_t divisor = 1; divisor < 65536; divisor = divisor < 300 ? divisor + 1 : divisor * 9 / 8 + 1) {
        const auto params = MPS::FindIntegerDivisionParams(static_cast<std::uint16_t>(divisor));
        for (std::uint32_t n = 0; n < 65536; ++n)
            ASSERT_EQ(params.divide(static_cast<std::uint16_t>(n)), n / divisor) << n << " / " << divisor;
    }
}

// Batched textures take equal blocks: destination, sources, then what all images share.
TEST(KernelTypes, BatchedIndicesFollowFromTheCounts) {
    const MPS::CustomKernelArgumentCount count{1, 2, 1};
    EXPECT_EQ(MPS::GetCustomKernelMaxBatchSize(count, 31), 10u);
    EXPECT_EQ(MPS::GetCustomKernelBatchedDestinationIndex(count), 0u);
    EXPECT_EQ(MPS::GetCustomKernelBatchedSourceIndex(count, 0, 31), 10u);
    EXPECT_EQ(MPS::GetCustomKernelBatchedSourceIndex(count, 1, 31), 20u);
    EXPECT_EQ(MPS::GetCustomKernelBroadcastSourceIndex(count, 0, 31), 30u);
}

// More than one destination, and indices outside, are refused with the argument's name.
TEST(KernelTypes, WrongCountsAreRefused) {
    EXPECT_THROW(MPS::GetCustomKernelMaxBatchSize({2, 1, 0}, 31), MPS::Error);
    EXPECT_THROW(MPS::GetCustomKernelMaxBatchSize({1, 4, 0}, 4), MPS::Error);
    EXPECT_THROW(MPS::GetCustomKernelBatchedSourceIndex({1, 1, 0}, 1, 31), MPS::Error);
    EXPECT_THROW(MPS::GetCustomKernelBroadcastSourceIndex({1, 1, 0}, 0, 31), MPS::Error);
}

// Widths of data types: the low bits, rounded up to bytes.
TEST(KernelTypes, DataTypeWidths) {
    EXPECT_EQ(MPS::DataTypeBitsCount(MPS::DataType::Float32), 32u);
    EXPECT_EQ(MPS::SizeofMPSDataType(MPS::DataType::BFloat16), 2u);
    EXPECT_EQ(MPS::SizeofMPSDataType(MPS::DataType::Int4), 1u);
    EXPECT_EQ(MPS::SizeofMPSDataType(MPS::DataType::ComplexFloat32), 8u);
    EXPECT_EQ(MPS::SizeofMPSDataType(MPS::DataType::Bool), 1u);
}
