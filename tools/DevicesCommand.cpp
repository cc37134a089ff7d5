#include <fmt/format.h>

#include <MTL/Device.hpp>

#include "Commands.h"

void addDevicesCommand(CLI::App& app) {
    app.add_subcommand("devices", "Lists the devices of this machine, best first.")->callback([] {
        for (const auto& device : MTL::copyAllDevices())
            fmt::print("{:<10} {}\n", device->name(), device->description());
    });
}
