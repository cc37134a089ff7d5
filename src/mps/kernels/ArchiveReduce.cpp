#include "mps/kernels/ArchiveReduce.h"

#include "mps/kernels/SpatialMean.h"

namespace pewter::mps {

using namespace MPS;

namespace {

template <class K>
void addUnary(ArchivedClasses& classes, const char* name) {
    classes.addKernel<K>(
        name,
        [](const K& kernel, Coder& coder) { encodeRegion(coder, kernel.clipRectSource(), "clipRectSource"); },
        [](Coder& coder, const Device& device) {
            auto kernel = std::make_shared<K>(device);
            kernel->setClipRectSource(decodeRegion(coder, "clipRectSource"));
            return kernel;
        });
}

}  // namespace

void archiveReduce(ArchivedClasses& classes) {
    addUnary<SpatialMean>(classes, "NNReduceSpatialMean");
    classes.addKernel<SpatialMeanGradient>("NNReduceSpatialMeanGradient");
    addUnary<NNReduceRowMin>(classes, "NNReduceRowMin");
    addUnary<NNReduceRowMax>(classes, "NNReduceRowMax");
    addUnary<NNReduceRowMean>(classes, "NNReduceRowMean");
    addUnary<NNReduceRowSum>(classes, "NNReduceRowSum");
    addUnary<NNReduceColumnMin>(classes, "NNReduceColumnMin");
    addUnary<NNReduceColumnMax>(classes, "NNReduceColumnMax");
    addUnary<NNReduceColumnMean>(classes, "NNReduceColumnMean");
    addUnary<NNReduceColumnSum>(classes, "NNReduceColumnSum");
    addUnary<NNReduceFeatureChannelsMin>(classes, "NNReduceFeatureChannelsMin");
    addUnary<NNReduceFeatureChannelsMax>(classes, "NNReduceFeatureChannelsMax");
    addUnary<NNReduceFeatureChannelsMean>(classes, "NNReduceFeatureChannelsMean");
    addUnary<NNReduceFeatureChannelsArgumentMin>(classes, "NNReduceFeatureChannelsArgumentMin");
    addUnary<NNReduceFeatureChannelsArgumentMax>(classes, "NNReduceFeatureChannelsArgumentMax");
    classes.addKernel<NNReduceFeatureChannelsSum>(
        "NNReduceFeatureChannelsSum",
        [](const NNReduceFeatureChannelsSum& kernel, Coder& coder) {
            encodeRegion(coder, kernel.clipRectSource(), "clipRectSource");
            coder.encodeDouble(kernel.weight(), "weight");
        },
        [](Coder& coder, const Device& device) {
            auto kernel = std::make_shared<NNReduceFeatureChannelsSum>(device);
            kernel->setClipRectSource(decodeRegion(coder, "clipRectSource"));
            kernel->setWeight(coder.decodeFloat("weight"));
            return kernel;
        });
    classes.addKernel<NNReduceFeatureChannelsAndWeightsMean>(
        "NNReduceFeatureChannelsAndWeightsMean", encodeReduceBinary, [](Coder& coder, const Device& device) {
            return withSourceClipRects(std::make_shared<NNReduceFeatureChannelsAndWeightsMean>(device),
                                       coder);
        });
    classes.addKernel<NNReduceFeatureChannelsAndWeightsSum>(
        "NNReduceFeatureChannelsAndWeightsSum",
        [](const NNReduceFeatureChannelsAndWeightsSum& kernel, Coder& coder) {
            encodeReduceBinary(kernel, coder);
            coder.encodeBool(kernel.doWeightedSumByNonZeroWeights(), "doWeightedSumByNonZeroWeights");
        },
        [](Coder& coder, const Device& device) {
            return withSourceClipRects(std::make_shared<NNReduceFeatureChannelsAndWeightsSum>(
                                           device, coder.decodeBool("doWeightedSumByNonZeroWeights")),
                                       coder);
        });
}

}  // namespace pewter::mps
