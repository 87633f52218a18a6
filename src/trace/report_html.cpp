// The report: a page that is complete in itself, with the recording as JSON inside.
#include <algorithm>
#include <ctime>
#include <filesystem>

#include <multiprocessing/version.hpp>

#include "trace/json.hpp"
#include "trace/report_page.hpp"
#include "trace/units.hpp"
#include "trace/writers.hpp"

namespace mp::trace {
namespace {

std::string html_text(std::string_view text) {
    std::string out;
    for (const char byte : text) {
        if (byte == '&')
            out += "&amp;";
        else if (byte == '<')
            out += "&lt;";
        else if (byte == '>')
            out += "&gt;";
        else if (byte == '"')
            out += "&quot;";
        else
            out += byte;
    }
    return out;
}

std::string plural(std::uint64_t count, const char* one, const char* many) {
    return count_text(count) + ' ' + (count == 1 ? one : many);
}

std::string program_name(const Recording& recording) {
    const std::string first = recording.program.substr(0, recording.program.find(' '));
    const std::string name = std::filesystem::path(first).filename().string();
    return name.empty() ? "a program" : name;
}

std::string date(std::chrono::system_clock::time_point at) {
    const std::time_t seconds = std::chrono::system_clock::to_time_t(at);
    std::tm parts{};
    ::localtime_r(&seconds, &parts);
    char text[64];
    return {text, std::strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S", &parts)};
}

// A list of numbers and texts, comma by comma.
class List {
  public:
    explicit List(std::string& out, char open = '[', char close = ']') : out_(out), close_(close) { out_ += open; }
    List(const List&) = delete;
    List& operator=(const List&) = delete;
    ~List() { out_ += close_; }
    std::string& next() {
        if (!first_) out_ += ',';
        first_ = false;
        return out_;
    }
    std::string& next(const char* key) {
        next() += '"';
        out_ += key;
        return out_ += "\":";
    }

  private:
    std::string& out_;
    const char close_;
    bool first_ = true;
};

class Data {
  public:
    explicit Data(const Recording& recording) : recording_(recording) {
        List top(out_, '{', '}');
        top.next("program") += json_text(recording.program);
        top.next("version") += json_text(version_text());
        top.next("date") += json_text(date(recording.wall_clock));
        top.next("duration") += std::to_string(recording.end - recording.begin);
        top.next("forgotten") += std::to_string(recording.forgotten_marks);
        top.next("pools");
        List pools(out_);
        // The one with the most to tell comes first.
        std::vector<const PoolRecording*> sorted;
        for (const auto& pool : recording.pools) sorted.push_back(&pool);
        std::ranges::stable_sort(sorted, std::greater(), [](const PoolRecording* pool) { return pool->stats.tasks(); });
        for (const auto* pool : sorted) {
            pools.next();
            add(*pool);
        }
    }
    std::string text() && { return std::move(out_); }

  private:
    static std::string version_text() {
        return std::to_string(MP_VERSION_MAJOR) + '.' + std::to_string(MP_VERSION_MINOR) + '.' +
               std::to_string(MP_VERSION_PATCH);
    }
    std::uint64_t since(std::uint64_t at) const { return at > recording_.begin ? at - recording_.begin : 0; }

    void add(const PoolRecording& pool) {
        const PoolStats& stats = pool.stats;
        List fields(out_, '{', '}');
        fields.next("name") += json_text(pool.name);
        fields.next("owner") += std::to_string(pool.owner);
        fields.next("lost") += std::to_string(pool.lost);
        fields.next("labels");
        {
            List list(out_);
            for (const auto& label : pool.labels) list.next() += json_text(label);
        }
        fields.next("advice");
        {
            List list(out_);
            for (const auto& sentence : stats.advice) list.next() += json_text(sentence);
        }
        fields.next("stats");
        {
            List list(out_, '{', '}');
            list.next("tasks") += std::to_string(stats.tasks());
            list.next("failed") += std::to_string(stats.failed());
            list.next("crashes") += std::to_string(stats.crashes);
            list.next("retried") += std::to_string(stats.retried);
            list.next("timeouts") += std::to_string(stats.timeouts);
            list.next("used") += number_text(stats.utilisation(), 6);
        }
        fields.next("workers");
        add_workers(stats);
        add_times(fields, stats);
        fields.next("slowest");
        {
            List list(out_);
            // What the statistics tell is since the beginning of the pool, or of the session if that came later.
            const auto from = since(pool.started_at);
            for (const TaskTime& task : stats.slowest) {
                list.next();
                List one(out_, '{', '}');
                one.next("name") += json_text(task.name());
                one.next("took") += std::to_string(task.duration.count());
                one.next("worker") += std::to_string(task.worker);
                one.next("at") += std::to_string(from + static_cast<std::uint64_t>(task.begin.count()));
            }
        }
        fields.next("tracks");
        List tracks(out_);
        for (const Track& track : pool.tracks) {
            tracks.next();
            add(track);
        }
    }

    void add_workers(const PoolStats& stats) {
        List list(out_);
        for (const WorkerStats& worker : stats.workers) {
            list.next();
            List one(out_, '{', '}');
            one.next("number") += std::to_string(worker.number);
            one.next("pid") += std::to_string(worker.pid);
            one.next("tasks") += std::to_string(worker.tasks);
            one.next("failed") += std::to_string(worker.failed);
            one.next("restarts") += std::to_string(worker.restarts);
            one.next("used") += number_text(worker.utilisation(), 6);
            one.next("start") += std::to_string(worker.start.count());
            one.next("init") += std::to_string(worker.init.count());
            one.next("waiting") += std::to_string(worker.waiting.count());
            one.next("working") += std::to_string(worker.working.count());
            one.next("sending") += std::to_string(worker.sending.count());
        }
    }

    void add_times(List& fields, const PoolStats& stats) {
        fields.next("timed") += std::to_string(stats.times.count());
        fields.next("times");
        {
            List list(out_);
            for (std::size_t bucket = 0; bucket < DurationHistogram::buckets; ++bucket)
                if (stats.times[bucket] > 0)
                    list.next() += '[' + std::to_string(DurationHistogram::lower_bound(bucket)) + ',' +
                                   std::to_string(DurationHistogram::lower_bound(bucket + 1)) + ',' +
                                   std::to_string(stats.times[bucket]) + ']';
        }
        fields.next("percentiles");
        List list(out_);
        if (stats.times.count() == 0) return;
        const std::pair<const char*, double> wanted[] = {
            {"median", 0.5}, {"90 %", 0.9}, {"99 %", 0.99}, {"longest", 1}};
        for (const auto& [name, fraction] : wanted)
            list.next() += '[' + json_text(name) + ',' + std::to_string(stats.percentile(fraction).count()) + ']';
    }

    void add(const Track& track) {
        List fields(out_, '{', '}');
        fields.next("spans");
        {
            List list(out_);
            for (const Span& span : track.spans) {
                list.next();
                List one(out_);
                one.next() += std::to_string(since(span.begin));
                one.next() += std::to_string(since(span.end));
                one.next() += std::to_string(span.busy);
                one.next() += std::to_string(span.label);
                one.next() += span.element == no_element ? std::string("-1") : std::to_string(span.element);
                one.next() += std::to_string(span.count);
                one.next() += std::to_string(span.failed);
                one.next() += std::to_string((span.crashed ? 1 : 0) + (span.joined ? 2 : 0) + (span.mixed ? 4 : 0));
            }
        }
        fields.next("marks");
        List list(out_);
        for (const Mark& mark : track.marks) {
            list.next();
            List one(out_, '{', '}');
            one.next("at") += std::to_string(since(mark.at));
            one.next("kind") += json_text(to_string(mark.kind));
            one.next("text") += json_text(mark.text);
        }
    }

    const Recording& recording_;
    std::string out_;
};

void replace(std::string& page, std::string_view what, const std::string& by) {
    for (std::size_t at = page.find(what); at != std::string::npos; at = page.find(what, at + by.size()))
        page.replace(at, what.size(), by);
}

}  // namespace

std::string summary_text(const Recording& recording) {
    const auto length = std::chrono::nanoseconds(recording.end - recording.begin);
    if (recording.pools.empty())
        return "No pool was at work while this was recorded, for " + duration_text(length) + ".";
    const auto busiest =
        std::ranges::max_element(recording.pools, {}, [](const PoolRecording& pool) { return pool.stats.tasks(); });
    const PoolStats& stats = busiest->stats;
    std::string text = plural(stats.workers.size(), "worker", "workers") + " ran " +
                       plural(stats.tasks(), "task", "tasks") + " in " + duration_text(length) + " and worked " +
                       percent_text(stats.utilisation()) + " of their time.";
    if (stats.times.count() > 0) {
        text += " Half of the tasks took no more than " + duration_text(stats.percentile(0.5)) +
                (stats.tasks() < 100 ? ", the longest took " + duration_text(stats.percentile(1))
                                     : ", one in a hundred more than " + duration_text(stats.percentile(0.99))) +
                '.';
    }
    if (stats.failed() > 0) text += ' ' + plural(stats.failed(), "task", "tasks") + " failed.";
    if (stats.crashes > 0)
        text += ' ' + plural(stats.crashes, "worker", "workers") + " died and " +
                (stats.crashes == 1 ? "was" : "were") + " replaced.";
    if (stats.failed() + stats.crashes == 0 && stats.tasks() > 0) text += " Nothing failed.";
    if (recording.pools.size() > 1)
        text += " This is pool \"" + busiest->name + "\"; there were " + std::to_string(recording.pools.size()) + '.';
    return text;
}

std::string report_html(const Recording& recording) {
    std::string page = report_page;
    replace(page, "@TITLE@", html_text("A run of " + program_name(recording)));
    replace(page, "@SUMMARY@", html_text(summary_text(recording)));
    const std::string data = Data(recording).text();
    page.replace(page.find("@DATA@"), 6, data);
    return page;
}

}  // namespace mp::trace
