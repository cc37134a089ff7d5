#include "Replays.h"

#include "mtl/Device.h"
#include "train/StepTimer.h"

std::vector<std::string> replaysOf(const pewter::train::NetworkDescription& network, const std::shared_ptr<MTL::Device>& device,
                                   const pewter::train::TrainingSettings& settings) {
    if (pewter::mtl::deviceOf(*device).backend().hostVisible()) return {};
    pewter::train::StepTimer steps(network, device, settings);
    steps.together(6, 0);  // plain ones first, then one for every batch in flight
    return steps.describeReplays();
}
