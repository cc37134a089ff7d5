#include <MPS/NNGraph.hpp>
#include <MPS/NNRecomputePolicy.hpp>
#include <MTL/CommandBuffer.hpp>
#include <MTL/Device.hpp>

#include "mps/graph/Copies.h"
#include "mps/graph/PlanCache.h"

namespace MPS {

using namespace pewter::mps;

NNGraph::NNGraph(const std::shared_ptr<MTL::Device>& device)
    : Kernel(device),
      plans_(std::make_unique<PlanCache>()),
      policy_(std::make_unique<NNRecomputePolicy>(NNRecomputePolicy::none())),
      allocator_(Image::defaultAllocator()) {}

std::shared_ptr<Kernel> NNGraph::copy(const std::shared_ptr<MTL::Device>& device) const {
    const auto target = device ? device : this->device();
    const std::shared_ptr<NNGraph> graph(new NNGraph(target));
    graph->setLabel(label());
    graph->setOptions(options());
    graph->program_ = copyProgram(*program_, target);
    *graph->policy_ = *policy_;
    graph->allocator_ = allocator_;
    graph->format_ = format_;
    graph->outputStateIsTemporary_ = outputStateIsTemporary_;
    return graph;
}

}  // namespace MPS
