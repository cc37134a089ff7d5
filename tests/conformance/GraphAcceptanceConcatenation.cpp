#include <MPS/NNConcatenationNode.hpp>

#include "graph/NodesRun.h"

/// The acceptance test of graphs, 13: channels side by side.
using namespace pewter::test;

TEST(GraphAcceptance, N13_ThreeAndFiveChannelsLieAtZeroAndFourOfTwelveAndGetGradientsOfThreeAndFive) {
    // Two samples of 2 x 1 pixels; digits name channel, pixel and sample.
    const NamedPictures inputs{
        {"a", {2, 1, 3, {111, 211, 311, 121, 221, 321, /**/ 112, 212, 312, 122, 222, 322}}},
        {"b", {2, 1, 5, {511,      611, 711, 811, 911, 521, 621, 721, 821, 921,
                         /**/ 512, 612, 712, 812, 912, 522, 622, 722, 822, 922}}}};
    const Pictures expected{2, 1, 12, {111,      211, 311, 0, 511, 611, 711, 811, 911, 0, 0, 0,
                                       121,      221, 321, 0, 521, 621, 721, 821, 921, 0, 0, 0,
                                       /**/ 112, 212, 312, 0, 512, 612, 712, 812, 912, 0, 0, 0,
                                       122,      222, 322, 0, 522, 622, 722, 822, 922, 0, 0, 0}};
    const auto gradient = counted(2, 1, 12, 2);
    for (const auto& device : graphDevices()) {
        const auto node = MPS::NNConcatenationNode::node({inputNamed("a"), inputNamed("b")});
        EXPECT_EQ(resultOf(device, node->resultImage(), inputs), expected) << device->name();
        const auto gradients = gradientsOf(
            device,
            [](const auto& in) {
                return MPS::NNConcatenationNode::node({in.at("a"), in.at("b")})->resultImage();
            },
            inputs, gradient);
        EXPECT_EQ(gradients.at("a"), (Pictures{2, 1, 3, {1, 2, 3, 13, 14, 15, 25, 26, 27, 37, 38, 39}}))
            << device->name();
        EXPECT_EQ(
            gradients.at("b"),
            (Pictures{2, 1, 5, {5, 6, 7, 8, 9, 17, 18, 19, 20, 21, 29, 30, 31, 32, 33, 41, 42, 43, 44, 45}}))
            << device->name();
    }
}
