// The display of one call's progress.
#pragma once

#include <memory>

#include <multiprocessing/detail/engine.hpp>
#include <multiprocessing/pool_options.hpp>

#include "trace/progress_display.hpp"

namespace mp::pool {

/// As the options say, which must ask for one. Refers to the map.
std::shared_ptr<trace::ProgressDisplay> make_display(detail::PendingMap& map, const CallOptions& options);

}  // namespace mp::pool
