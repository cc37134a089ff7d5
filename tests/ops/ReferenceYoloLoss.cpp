// The detector's loss on the oracle: who is trained for what, in numbers that can be followed by hand, and
// central differences.

#include <gtest/gtest.h>

#include <cmath>

#include "YoloProblem.h"
#include "support/Compare.h"
#include "support/GradientCheck.h"
#include "support/RunReference.h"

namespace pewter::test {
namespace {

using Numbers = std::vector<double>;
using enum ops::LossType;
constexpr auto kType = ops::Type::Float64;

/// One cell with two anchors and two classes; everything a square.
struct Cell : YoloProblem {
    Cell(std::vector<float> sizes, const Numbers& y, const Numbers& t)
        : YoloProblem{1, 1, 1, 2, 2, std::move(sizes)} {
        src = OpTensor(kType, 1, 1, 1, 14, y);
        labels = OpTensor(kType, 1, 1, 1, 14, t);
        gradient = loss = tensor(kType);
    }
    void run() { runReference(whole()); }
};

const Numbers kNothing(14, 0.0);
/// A box of 2 x 2 cells half a cell to the right of the middle, of the first class, in both anchors.
const Numbers kBox = {1, 0.5, 2, 2, 1, 1, 0, 1, 0.5, 2, 2, 1, 1, 0};

TEST(ReferenceYoloLoss, TheBestAnchorLearnsTheBoxAndAFarOneItsAbsence) {
    // Shapes 1 x 1 and 2 x 2 against 2 x 2: IOU 1/4 and 1. Predicted boxes: 2 x 2 in the middle, IOU 3/5.
    Cell cell({1, 1, 2, 2}, {0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0}, kBox);
    cell.run();
    const double size = 10 * std::pow(std::log(1 + 1e-5), 2);
    EXPECT_TRUE(allNear(cell.loss.values(), {0, 0, 0, 0, 5, 0, 0, 2.5, 0, size, size, 36, 2, 0}, 1e-12));
    const double slope = -20 * std::log(1 + 1e-5);
    EXPECT_TRUE(
        allNear(cell.gradient.values(), {0, 0, 0, 0, 10, 0, 0, -2.5, 0, slope, slope, -120, -4, 0}, 1e-12));
}

TEST(ReferenceYoloLoss, WithoutRescoringTheConfidenceToLearnIsOne) {
    Cell cell({1, 1, 2, 2}, kNothing, kBox);
    cell.op.rescore = false;
    cell.run();
    EXPECT_EQ(cell.loss.at(11), 100);
    EXPECT_EQ(cell.gradient.at(11), -200);
}

TEST(ReferenceYoloLoss, AnchorsBetweenTheLimitsLearnNothingAndThoseAboveTheUpperOneTheBoxToo) {
    // IOU 1/2: neither object nor absence.
    Cell between({2, 2, 2, 1}, kNothing, kBox);
    between.run();
    EXPECT_NE(between.gradient.at(0), 0);
    for (std::int64_t i = 7; i < 14; ++i) EXPECT_EQ(between.gradient.at(i), 0) << i;
    // IOU 3/4.
    Cell close({2, 2, 2, 1.5}, kNothing, kBox);
    close.run();
    EXPECT_EQ(close.gradient.at(7), -2.5);
    // Just as good: both.
    Cell tie({2, 1, 1, 2}, kNothing, kBox);
    tie.run();
    EXPECT_EQ(tie.gradient.at(0), -2.5);
    EXPECT_EQ(tie.gradient.at(7), -2.5);
}

TEST(ReferenceYoloLoss, CellsWithoutABoxLearnAbsenceAlone) {
    Cell cell({1, 1, 2, 2}, Numbers(14, 1.0), kNothing);
    cell.run();
    EXPECT_EQ(cell.loss.values(), (Numbers{0, 0, 0, 0, 5, 0, 0, 0, 0, 0, 0, 5, 0, 0}));
}

TEST(ReferenceYoloLoss, PredictedBoxesMayDecideInsteadOfShapes) {
    // The first anchor predicts a box of its own size doubled, just as good as the second one's.
    const double two = std::log(2);
    Cell cell({1, 1, 2, 2}, {0, 0, two, two, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}, kBox);
    cell.run();
    EXPECT_EQ(cell.gradient.at(0), 0);
    cell.op.predictedBoxes = true;
    cell.run();
    EXPECT_EQ(cell.gradient.at(0), -2.5);
    EXPECT_EQ(cell.gradient.at(7), -2.5);
}

TEST(ReferenceYoloLoss, TermsMayBeDividedByObjectsAndCells) {
    Cell cell({1, 1, 2, 2}, {0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0}, kBox);
    cell.run();
    const Numbers plain = cell.loss.values();
    cell.op.normalised = true;
    cell.run();
    Numbers divided = plain;
    for (const std::size_t i : {7, 8, 12, 13}) divided[i] /= 1 + 1e-4;
    for (const std::size_t i : {9, 10}) divided[i] /= 2;
    EXPECT_TRUE(allNear(cell.loss.values(), divided, 1e-12));
    cell.labels.setValues(kNothing);
    cell.run();
    EXPECT_EQ(cell.loss.values(), (Numbers{0, 0, 0, 0, 5, 0, 0, 0, 0, 0, 0, 0, 0, 0}));
}

TEST(ReferenceYoloLoss, WeightsMultiplyAndReductionsDivideOverAllChannels) {
    YoloProblem p{2, 1, 1, 2, 2, {1, 1, 2, 2}};
    Numbers y(28, 1.0), t(28, 0.0), w(28, 0.0);
    p.src = OpTensor(kType, 2, 1, 1, 14, y), p.labels = OpTensor(kType, 2, 1, 1, 14, t);
    w[4] = 2, w[14 + 4] = 1, w[14 + 11] = 3;  // absences: 5 each
    p.weights = OpTensor(kType, 2, 1, 1, 14, w);
    p.gradient = p.tensor(kType);
    const auto reduced = [&](ops::ReductionType type, bool across) {
        p.op.reduction = {type, across};
        p.loss = p.lossTensor(kType);
        runReference(p.whole());
        EXPECT_EQ(p.gradient.at(4), 20);
        EXPECT_EQ(p.gradient.at(25), 30);
        return p.loss.values();
    };
    using enum ops::ReductionType;
    EXPECT_EQ(reduced(Sum, false), (Numbers{10, 20}));
    EXPECT_EQ(reduced(Sum, true), (Numbers{30, 0}));
    EXPECT_EQ(reduced(Mean, false), (Numbers{10.0 / 14, 20.0 / 14}));
    EXPECT_EQ(reduced(Mean, true), (Numbers{30.0 / 28, 0}));
    EXPECT_EQ(reduced(SumByNonZeroWeights, false), (Numbers{10, 10}));
    EXPECT_EQ(reduced(SumByNonZeroWeights, true), (Numbers{10, 0}));
}

YoloProblem drawn() {
    YoloProblem p{2, 3, 2, 3, 3, {}};
    Random random(71);
    p.draw(random, kType, kType);
    p.op.position.weight = 0.75f;
    p.op.size = {.type = Huber, .weight = 1.5f, .delta = 0.75f};
    p.op.confidence = {.type = SigmoidCrossEntropy, .weight = 0.5f};
    p.op.classes = {.type = SoftMaxCrossEntropy, .weight = 2, .labelSmoothing = 0.125f, .numberOfClasses = 3};
    p.op.reduction.type = ops::ReductionType::Sum;
    p.op.scaleObject = 3;
    p.weights = p.tensor(kType);
    p.weights.fillUniform(random, 0.5, 2);
    for (std::int64_t i = 0; i < p.weights.count(); i += 8)  // a softmax shares one weight
        for (std::int64_t k = 6; k < 8; ++k) p.weights.set(i + k, p.weights.at(i + 5));
    p.gradient = p.tensor(kType);
    p.loss = p.lossTensor(kType);
    return p;
}

double objective(const YoloProblem& p) {
    runReference(p.with(OpTensor(), p.loss));
    return p.loss.at(0) + p.loss.at(1);
}

TEST(GradientYoloLoss, GradientIsTheDerivativeWhereTargetsAreConstant) {
    for (const bool normalised : {false, true}) {
        YoloProblem p = drawn();
        p.op.rescore = false;
        p.op.normalised = normalised;
        runReference(p.whole());
        EXPECT_TRUE(isGradient(p.gradient.values(), p.src, [&] { return objective(p); }));
    }
}

TEST(GradientYoloLoss, TargetsByRescoringCountAsConstants) {
    YoloProblem p = drawn();
    runReference(p.whole());
    const Numbers stated = p.gradient.values();
    // Boxes, with the confidence of objects out of the sum; then confidences and classes, which move no
    // target.
    YoloProblem boxes = p;
    boxes.op.scaleObject = 0;
    for (std::int64_t i = 0; i < p.src.count(); ++i) {
        const YoloProblem& part = i % 8 < 4 ? boxes : p;
        const double at = p.src.at(i);
        const auto moved = [&](double value) {
            const_cast<OpTensor&>(part.src).set(i, value);
            return objective(part);
        };
        const double above = moved(at + kGradientStep), below = moved(at - kGradientStep);
        moved(at);
        EXPECT_NEAR(stated[static_cast<std::size_t>(i)], (above - below) / (2 * kGradientStep),
                    kGradientTolerance)
            << "element " << i;
    }
}

}  // namespace
}  // namespace pewter::test
