// The "Trace Event Format" of Chromium: complete events (X), instants (i), counters (C) and metadata (M).
#include <algorithm>

#include "trace/json.hpp"
#include "trace/units.hpp"
#include "trace/writers.hpp"

namespace mp::trace {
namespace {

class Events {
  public:
    explicit Events(std::uint64_t begin) : begin_(begin) {}

    // Times are microseconds since the session began; three digits make them nanoseconds.
    std::string time(std::uint64_t at) const {
        return number_text(static_cast<double>(at > begin_ ? at - begin_ : 0) / 1e3, 3);
    }
    static std::string length(std::uint64_t nanoseconds) {
        return number_text(static_cast<double>(nanoseconds) / 1e3, 3);
    }

    void add(const std::string& fields) {
        if (!first_) text_ += ",\n";
        first_ = false;
        text_ += "{" + fields + "}";
    }
    const std::string& text() const { return text_; }

  private:
    std::uint64_t begin_;
    bool first_ = true;
    std::string text_;
};

std::string place(std::size_t pid, std::size_t tid) {
    return "\"pid\":" + std::to_string(pid) + ",\"tid\":" + std::to_string(tid);
}

void add_span(Events& events, const Recording& recording, const PoolRecording& pool, const Span& span,
              const std::string& where) {
    const std::string& label = recording.label(pool, span);
    std::string name = label;
    std::string arguments = "\"tasks\":" + std::to_string(span.count);
    if (span.joined) {
        name = count_text(span.count) + " tasks";
        arguments += ",\"busy_us\":" + Events::length(span.busy) + ",\"first\":" + json_text(label);
    }
    if (span.element != no_element) arguments += ",\"element\":" + std::to_string(span.element);
    if (span.failed > 0) arguments += ",\"failed\":" + std::to_string(span.failed);
    if (span.crashed) arguments += ",\"crashed\":true";
    const char* color = span.crashed ? "terrible" : span.failed > 0 ? "bad" : nullptr;
    events.add("\"ph\":\"X\",\"cat\":\"task\",\"name\":" + json_text(name) + ",\"ts\":" + events.time(span.begin) +
               ",\"dur\":" + Events::length(span.end - span.begin) + "," + where +
               (color ? std::string(",\"cname\":\"") + color + '"' : "") + ",\"args\":{" + arguments + "}");
}

}  // namespace

std::string chrome_json(const Recording& recording) {
    Events events(recording.begin);
    // A process may have several pools: each gets a number of its own, with the pid in its name.
    for (std::size_t i = 0; i < recording.pools.size(); ++i) {
        const PoolRecording& pool = recording.pools[i];
        const std::size_t pid = i + 1;
        events.add("\"ph\":\"M\",\"name\":\"process_name\"," + place(pid, 0) + ",\"args\":{\"name\":" +
                   json_text("pool \"" + pool.name + "\" of process " + std::to_string(pool.owner)) + "}");
        events.add("\"ph\":\"M\",\"name\":\"process_sort_index\"," + place(pid, 0) +
                   ",\"args\":{\"sort_index\":" + std::to_string(i) + "}");
        for (std::size_t worker = 0; worker < pool.tracks.size(); ++worker) {
            const Track& track = pool.tracks[worker];
            const std::string where = place(pid, worker + 1);
            events.add("\"ph\":\"M\",\"name\":\"thread_name\"," + where + ",\"args\":{\"name\":\"worker " +
                       std::to_string(worker + 1) + "\"}");
            events.add("\"ph\":\"M\",\"name\":\"thread_sort_index\"," + where +
                       ",\"args\":{\"sort_index\":" + std::to_string(worker) + "}");
            for (const Span& span : track.spans) add_span(events, recording, pool, span, where);
            for (const Mark& mark : track.marks)
                events.add("\"ph\":\"i\",\"s\":\"t\",\"cat\":\"worker\",\"name\":" +
                           json_text(std::string("worker ") + to_string(mark.kind)) + ",\"ts\":" +
                           events.time(mark.at) + "," + where + ",\"args\":{\"what\":" + json_text(mark.text) + "}");
        }
        for (const auto& sample : pool.queue)
            events.add("\"ph\":\"C\",\"name\":\"tasks waiting\",\"ts\":" + events.time(sample.at) + "," +
                       place(pid, 0) + ",\"args\":{\"tasks\":" + std::to_string(sample.waiting) + "}");
    }
    return "{\"displayTimeUnit\":\"ns\",\"otherData\":{\"program\":" + json_text(recording.program) +
           "},\"traceEvents\":[\n" + events.text() + "\n]}\n";
}

}  // namespace mp::trace
