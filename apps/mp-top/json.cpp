#include "json.hpp"

#include <nlohmann/json.hpp>

namespace top {
namespace {

using Json = nlohmann::ordered_json;

double seconds(std::chrono::nanoseconds duration) { return static_cast<double>(duration.count()) / 1e9; }
Json optional(std::optional<double> value) { return value ? Json(*value) : Json(nullptr); }

}  // namespace

std::string json_text(const std::vector<PoolLines>& page) {
    Json pools = Json::array();
    for (const PoolLines& pool : page) {
        const auto& stats = pool.stats;
        Json workers = Json::array();
        for (const WorkerLine& line : pool.workers) {
            const auto& worker = line.stats;
            workers.push_back({{"number", worker.number},
                               {"pid", worker.pid},
                               {"state", to_string(worker.state)},
                               {"task", worker.task},
                               {"task_seconds", seconds(worker.task_time)},
                               {"tasks", worker.tasks},
                               {"failed", worker.failed},
                               {"restarts", worker.restarts},
                               {"rate", optional(line.rate)},
                               {"cpu", optional(line.cpu)},
                               {"memory", line.resident},
                               {"start", seconds(worker.start)},
                               {"init", seconds(worker.init)},
                               {"waiting", seconds(worker.waiting)},
                               {"working", seconds(worker.working)},
                               {"sending", seconds(worker.sending)}});
        }
        pools.push_back({{"pid", pool.pid},
                         {"program", pool.program},
                         {"name", stats.name},
                         {"seconds", seconds(stats.elapsed)},
                         {"tasks", stats.tasks()},
                         {"rate", optional(pool.rate)},
                         {"failed", stats.failed()},
                         {"crashes", stats.crashes},
                         {"retried", stats.retried},
                         {"waiting", stats.waiting},
                         {"assigned", stats.assigned},
                         {"utilisation", stats.utilisation()},
                         {"advice", stats.advice},
                         {"workers", std::move(workers)}});
    }
    // Names come from other processes: what is no UTF-8 is replaced.
    return Json{{"pools", std::move(pools)}}.dump(2, ' ', false, Json::error_handler_t::replace) + '\n';
}

}  // namespace top
