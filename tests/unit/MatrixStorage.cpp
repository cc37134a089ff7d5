#include <gmock/gmock.h>

#include <MPS/Matrix.hpp>
#include <MPS/Vector.hpp>

#include "WeightedKernels.h"

using namespace pewter::test;
using namespace MPS;
using testing::HasSubstr;

TEST(MatrixStorage, DescriptorsSayWhereElementsLie) {
    const auto one = MatrixDescriptor::matrixDescriptor(3, 5, 32, DataType::Float32);
    EXPECT_EQ(one.rows, 3u);
    EXPECT_EQ(one.columns, 5u);
    EXPECT_EQ(one.matrices, 1u);
    EXPECT_EQ(one.rowBytes, 32u);
    EXPECT_EQ(one.matrixBytes, 96u);
    EXPECT_EQ(one.dataType, DataType::Float32);
    const auto several = MatrixDescriptor::matrixDescriptor(3, 5, 4, 16, 64, DataType::Float16);
    EXPECT_EQ(several.matrices, 4u);
    EXPECT_EQ(several.matrixBytes, 64u);
    EXPECT_EQ(several.dataType, DataType::Float16);
    EXPECT_EQ(VectorDescriptor::vectorDescriptor(7, DataType::UInt32).length, 7u);
    const auto vectors = VectorDescriptor::vectorDescriptor(7, 2, 48, DataType::Float32);
    EXPECT_EQ(vectors.vectors, 2u);
    EXPECT_EQ(vectors.vectorBytes, 48u);
    EXPECT_EQ(vectors.dataType, DataType::Float32);
}

TEST(MatrixStorage, MatricesBindADescriptorToMemory) {
    for (const auto& device : weightedDevices()) {
        const auto buffer = device->newBuffer(8 + 4 * 64);
        const Matrix matrix(buffer, 8,
                            MatrixDescriptor::matrixDescriptor(3, 5, 4, 20, 60, DataType::Float32));
        EXPECT_EQ(matrix.device(), device);
        EXPECT_EQ(matrix.rows(), 3u);
        EXPECT_EQ(matrix.columns(), 5u);
        EXPECT_EQ(matrix.matrices(), 4u);
        EXPECT_EQ(matrix.rowBytes(), 20u);
        EXPECT_EQ(matrix.matrixBytes(), 60u);
        EXPECT_EQ(matrix.dataType(), DataType::Float32);
        EXPECT_EQ(matrix.offset(), 8u);
        const Vector vector(buffer, 12, VectorDescriptor::vectorDescriptor(7, 2, 48, DataType::Float32));
        EXPECT_EQ(vector.device(), device);
        EXPECT_EQ(vector.length(), 7u);
        EXPECT_EQ(vector.vectors(), 2u);
        EXPECT_EQ(vector.vectorBytes(), 48u);
        EXPECT_EQ(vector.dataType(), DataType::Float32);
        EXPECT_EQ(vector.offset(), 12u);
        EXPECT_EQ(Matrix(buffer, MatrixDescriptor::matrixDescriptor(2, 2, 8, DataType::Float32)).data(),
                  buffer);
        EXPECT_THAT(sentenceOf([&] {
                        Matrix(buffer, 200,
                               MatrixDescriptor::matrixDescriptor(3, 5, 4, 20, 60, DataType::Float32));
                    }),
                    HasSubstr("Matrix: buffer"));
    }
}

TEST(MatrixStorage, MemoryComesWithTheFirstUseAndIsZero) {
    for (const auto& device : weightedDevices()) {
        Matrix matrix(device, MatrixDescriptor::matrixDescriptor(3, 2, 16, DataType::Float32));
        Vector vector(device, VectorDescriptor::vectorDescriptor(5, DataType::Float32));
        EXPECT_EQ(matrix.resourceSize() + vector.resourceSize(), 0u);
        for (const double v : floatsOf(*matrix.data())) EXPECT_EQ(v, 0);
        for (const double v : floatsOf(*vector.data())) EXPECT_EQ(v, 0);
        // A flat vector over all rows must fit.
        EXPECT_GE(matrix.data()->length(), 3u * 16);
        EXPECT_GE(matrix.resourceSize(), 3u * 16);
        EXPECT_GE(vector.resourceSize(), 5 * sizeof(float));
        const auto commands = device->newCommandQueue()->commandBuffer();
        matrix.synchronize(commands);
        vector.synchronize(commands);
        finish(commands);
        EXPECT_THAT(sentenceOf([&] { matrix.synchronize(nullptr); }), HasSubstr("commandBuffer"));
    }
}
