#include "backends/cpu/Runs.h"

#include <cstring>

#include "backends/cpu/vector/Convert.h"

namespace pewter::cpu {

Source::Source(const ops::Tensor& view) : view_(view) {
    if (view_.isDense()) view_ = ops::Tensor::dense(view_.data, view_.type, 1, 1, 1, view_.count());
    rowLength_ = std::max<std::int64_t>(1, view_.w * view_.c);
    stride_ = view_.c == 1 ? view_.strideW : view_.strideC;
    uniform_ = view_.c == 1 || view_.w == 1 || view_.strideW == view_.c * view_.strideC;
}

Source Source::broadcast(ops::Tensor view, const ops::Tensor& extents) {
    const auto stretch = [](std::int64_t& extent, std::int64_t& stride, std::int64_t to) {
        if (extent == to) return;
        extent = to;
        stride = 0;
    };
    stretch(view.n, view.strideN, extents.n);
    stretch(view.h, view.strideH, extents.h);
    stretch(view.w, view.strideW, extents.w);
    stretch(view.c, view.strideC, extents.c);
    return Source(view);
}

const std::byte* Source::rowAt(std::int64_t row) const {
    return static_cast<const std::byte*>(at(view_, row / view_.h, row % view_.h, 0));
}

const float* Source::direct(std::int64_t first, std::int64_t count) const {
    const bool plain = view_.type == ops::Type::Float32 && uniform_ && (stride_ == 1 || rowLength_ == 1);
    const std::int64_t inRow = first % rowLength_;
    if (!plain || inRow + count > rowLength_) return nullptr;
    return reinterpret_cast<const float*>(rowAt(first / rowLength_)) + inRow;
}

void Source::readRow(const std::byte* row, std::int64_t first, std::int64_t count, float* buffer) const {
    const auto size = static_cast<std::int64_t>(ops::sizeOf(view_.type));
    const auto load = PEWTER_VECTOR(loadRun);
    if (uniform_ && stride_ != 0)
        return load(row + first * stride_ * size, view_.type, stride_, count, buffer);
    if (uniform_) {
        load(row, view_.type, 1, 1, buffer);
        std::fill_n(buffer + 1, count - 1, buffer[0]);
        return;
    }
    std::int64_t done = 0;
    for (std::int64_t pixel = first / view_.c, channel = first % view_.c; done < count;
         ++pixel, channel = 0) {
        if (view_.strideW == 0 && done >= view_.c) break;
        const std::int64_t length = std::min(view_.c - channel, count - done);
        const std::byte* const from = row + (pixel * view_.strideW + channel * view_.strideC) * size;
        if (view_.strideC == 0) {
            load(from, view_.type, 1, 1, buffer + done);
            std::fill_n(buffer + done + 1, length - 1, buffer[done]);
        } else {
            load(from, view_.type, view_.strideC, length, buffer + done);
        }
        done += length;
    }
    // Columns that repeat: whole pixels that are already there, twice as many each time.
    while (done < count) {
        const std::int64_t back = done - done % view_.c, length = std::min(back, count - done);
        std::memcpy(buffer + done, buffer + done - back, static_cast<std::size_t>(length) * sizeof(float));
        done += length;
    }
}

const float* Source::read(std::int64_t first, std::int64_t count, float* buffer) const {
    if (const float* there = direct(first, count)) return there;
    for (std::int64_t done = 0; done < count;) {
        const std::int64_t inRow = (first + done) % rowLength_;
        const std::int64_t length = std::min(rowLength_ - inRow, count - done);
        readRow(rowAt((first + done) / rowLength_), inRow, length, buffer + done);
        done += length;
    }
    return buffer;
}

float* Sink::room(std::int64_t first, std::int64_t count, float* buffer) const {
    const float* there = layout_.direct(first, count);
    return there ? const_cast<float*>(there) : buffer;
}

void Sink::write(std::int64_t first, std::int64_t count, const float* values) const {
    if (layout_.direct(first, count) == values) return;
    const ops::Tensor& view = layout_.view_;
    const auto size = static_cast<std::int64_t>(ops::sizeOf(view.type));
    const auto store = PEWTER_VECTOR(storeRun);
    for (std::int64_t done = 0; done < count;) {
        const std::int64_t row = (first + done) / layout_.rowLength_,
                           inRow = (first + done) % layout_.rowLength_;
        auto* to = const_cast<std::byte*>(layout_.rowAt(row));
        // A whole stretch of the row where its elements are evenly spaced, else a pixel at a time.
        const std::int64_t pixel = inRow / view.c, channel = inRow % view.c;
        const std::int64_t offset =
            layout_.uniform_ ? inRow * layout_.stride_ : pixel * view.strideW + channel * view.strideC;
        const std::int64_t stretch = layout_.uniform_ ? layout_.rowLength_ - inRow : view.c - channel;
        const std::int64_t length = std::min(stretch, count - done);
        store(values + done, to + offset * size, view.type, layout_.uniform_ ? layout_.stride_ : view.strideC,
              length);
        done += length;
    }
}

ChannelTile::ChannelTile(std::int64_t channels, Scratch::Frame& frame, std::int64_t run, std::int64_t plane)
    : channels_(plane > 0 ? ops::kChannelBlock : channels),
      length_(channels_ + run),
      blocks_(plane > 0 ? channels / ops::kChannelBlock : 1),
      plane_(plane) {
    tile_ = frame.floats(blocks_ * length_);
}

void ChannelTile::set(const float* values) {
    fill([&](std::int64_t c) { return values[c]; });
}

void ChannelTile::repeat(float* tile) const {
    for (std::int64_t done = channels_; done < length_;) {
        const std::int64_t length = std::min(done - done % channels_, length_ - done);
        std::memcpy(tile + done, tile + done % channels_, static_cast<std::size_t>(length) * sizeof(float));
        done += length;
    }
}

ChannelTile slopesOf(const ops::Neuron& neuron, std::int64_t channels, Scratch::Frame& frame,
                     std::int64_t run) {
    if (neuron.type != ops::NeuronType::PReLU) return {};
    ChannelTile tile(channels, frame, run);
    tile.set(neuron.slopes);
    return tile;
}

void storeArray(const float* values, const ops::Array& array) {
    PEWTER_VECTOR(storeRun)(values, array.data, array.type, 1, array.size);
}

}  // namespace pewter::cpu
