// The build-id of a loaded module, read from its image in memory.
#pragma once

#include <cstddef>

namespace mp::os {

struct BuildId {
    const unsigned char* data = nullptr;  // lives as long as the module is loaded
    std::size_t size = 0;
};

/// `image`: where the module's ELF header is mapped (dl_find_object::dlfo_map_start). Empty when it has none.
/// Async-signal-safe.
BuildId build_id_of_image(const void* image);

}  // namespace mp::os
