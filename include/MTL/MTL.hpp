#pragma once

#include <MTL/CommandBuffer.hpp>
#include <MTL/Device.hpp>
#include <MTL/Error.hpp>
#include <MTL/Resource.hpp>
#include <MTL/Types.hpp>
