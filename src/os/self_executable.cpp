#include "os/self_executable.hpp"

#include <fcntl.h>
#include <sys/auxv.h>

#include <array>
#include <string>

#include "os/build_id.hpp"
#include "os/modules.hpp"
#include "os/retry.hpp"

namespace mp::os {

SelfExecutable self_executable() {
    const ModulePtr self = main_module();
    if (!self || self->build_id.empty())
        return {{}, {}, "this program has no build-id to tell it by: link it with -Wl,--build-id"};

    // /proc/self/exe first: it stays the running file when its path is deleted or replaced. The mapping's path finds the
    // program under valgrind and under an explicit ld.so.
    const auto mapping = mapped_at(self->build_id_note);
    const auto* started_as = reinterpret_cast<const char*>(::getauxval(AT_EXECFN));
    const std::array<std::string, 3> candidates{"/proc/self/exe", mapping ? mapping->file : "",
                                                started_as != nullptr ? started_as : ""};
    for (const std::string& path : candidates) {
        if (path.empty()) continue;
        UniqueFd file(retry([&] { return ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY); }));
        if (!file) continue;
        const auto found = build_id_of_file(file.get());
        if (!found || *found != self->build_id) continue;
        // Not `path`: valgrind opens another /proc/self/exe than it executes, and a file may be replaced meanwhile.
        std::string open_file = "/proc/self/fd/" + std::to_string(file.get());
        return {std::move(file), std::move(open_file), {}};
    }
    return {{}, {}, "none of /proc/self/exe, " + self->path + " and " + candidates[2] + " is the build that is running"};
}

}  // namespace mp::os
