#include "primes/json.hpp"

#include <nlohmann/json.hpp>

namespace primes {
namespace {

using Json = nlohmann::ordered_json;

Json object_of(const Result& result) {
    Json workers = Json::array();
    for (const auto& line : result.workers)
        workers.push_back(
            {{"pid", line.pid}, {"count", line.count}, {"tasks", line.tasks}, {"busy_seconds", line.busy_seconds}});
    Json object{{"start", result.job.start}, {"end", result.job.end},         {"count", result.count},
                {"seconds", result.seconds}, {"workers", std::move(workers)}, {"method", name_of(result.job.method)},
                {"mode", result.mode}};
    if (result.partial) object["partial"] = true;
    if (!result.events.empty()) object["events"] = result.events;
    return object;
}

Json frequency_of(const Result& result) {
    Json parts = Json::array();
    for (std::uint32_t i = 0; i < result.job.parts; ++i)
        if (const auto part = even_part(result.job.start, result.job.end, result.job.parts, i))
            parts.push_back({{"start", part->first}, {"end", part->last}, {"count", result.parts[i]}});
    return parts;
}

}  // namespace

std::string json_text(const Result& result, bool frequency) {
    Json object = object_of(result);
    if (frequency) object["frequency"] = frequency_of(result);
    return object.dump() + "\n";
}

std::string comparison_json(const std::vector<Result>& results) {
    Json runs = Json::array();
    for (const Result& result : results) {
        Json run = object_of(result);
        const double speed_up = result.seconds > 0 ? results.front().seconds / result.seconds : 0;
        run["speed_up"] = speed_up;
        run["efficiency"] = speed_up / result.job.workers;
        runs.push_back(std::move(run));
    }
    const Job& job = results.front().job;
    const Json object{
        {"start", job.start}, {"end", job.end}, {"method", name_of(job.method)}, {"runs", std::move(runs)}};
    return object.dump() + "\n";
}

}  // namespace primes
