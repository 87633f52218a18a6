// The parts of the library that function identity and worker mode consist of, in one translation unit, so that the many
// configurations build in little time. The start hooks stay members of their own, as in the archive.
#include "os/build_id.cpp"       // NOLINT(bugprone-suspicious-include)
#include "os/image.cpp"          // NOLINT(bugprone-suspicious-include)
#include "os/modules.cpp"        // NOLINT(bugprone-suspicious-include)
#include "os/own_pid.cpp"        // NOLINT(bugprone-suspicious-include)
#include "os/self_executable.cpp"  // NOLINT(bugprone-suspicious-include)
#include "process/init.cpp"      // NOLINT(bugprone-suspicious-include)
#include "process/worker_mode.cpp"  // NOLINT(bugprone-suspicious-include)
#include "serial/entry_id.cpp"   // NOLINT(bugprone-suspicious-include)

mp::Error::Error(const std::string& text) : std::runtime_error(text) {}
mp::Error::~Error() = default;
mp::SystemError::SystemError(std::error_code code, const std::string& operation)
    : Error(operation + ": " + code.message()), code_(code) {}
mp::SystemError::~SystemError() = default;
