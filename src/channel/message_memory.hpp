// Memory for a message whose length another process has told.
#pragma once

#include <cstddef>
#include <memory>

namespace mp::channel {

/// Uninitialised. Throws SystemError (ENOMEM) when the system has not that much left.
std::unique_ptr<std::byte[]> message_memory(std::size_t size);

}  // namespace mp::channel
