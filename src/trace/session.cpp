#include <multiprocessing/trace.hpp>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <exception>
#include <string_view>
#include <vector>

#include <multiprocessing/errors.hpp>

#include "base/expected.hpp"
#include "os/own_pid.hpp"
#include "os/retry.hpp"
#include "os/unique_fd.hpp"
#include "trace/recorder.hpp"
#include "trace/writers.hpp"

namespace mp::trace {
namespace {

namespace fs = std::filesystem;

SystemError cannot_write(const fs::path& file, std::error_code error) {
    return SystemError(error, "cannot write the trace \"" + file.string() + '"');
}

// A file beside the wanted one, which takes its place when it is complete.
class Draft {
  public:
    explicit Draft(const fs::path& target) : target_(target), name_(target.string() + ".XXXXXX") {
        if (fs::is_directory(target)) throw cannot_write(target, base::error_of(EISDIR));
        file_.reset(::mkostemp(name_.data(), O_CLOEXEC));
        if (!file_) {
            const auto error = base::last_error();
            name_.clear();
            throw cannot_write(target, error);
        }
        ::fchmod(file_.get(), 0644);
    }
    Draft(const Draft&) = delete;
    ~Draft() {
        if (!name_.empty()) ::unlink(name_.c_str());
    }

    void write(std::string_view text) {
        while (!text.empty()) {
            const auto written = os::retry([&] { return ::write(file_.get(), text.data(), text.size()); });
            if (written < 0) throw cannot_write(target_, base::last_error());
            text.remove_prefix(static_cast<std::size_t>(written));
        }
    }
    void publish() {
        if (::rename(name_.c_str(), target_.c_str()) != 0) throw cannot_write(target_, base::last_error());
        name_.clear();
    }

  private:
    const fs::path target_;
    std::string name_;
    os::UniqueFd file_;
};

}  // namespace

class Session::State {
  public:
    explicit State(std::vector<fs::path> files) : files_(std::move(files)), owner_(os::own_pid()) {
        if (files_.empty()) throw Error("a trace session needs the name of a file");
        for (fs::path& file : files_) {
            file = fs::absolute(file);  // the program may change its directory
            const Draft attempt(file);  // better now than at the end of a long run
        }
        if (!set_active_recorder(recorder_)) throw Error("another trace session records already");
    }
    State(const State&) = delete;
    ~State() {
        if (!finished_ && owner_ == os::own_pid()) clear_active_recorder();
    }

    void finish() {
        if (finished_ || owner_ != os::own_pid()) return;
        finished_ = true;
        clear_active_recorder();
        for (const auto& source : recorder_->sources()) source->flush(*recorder_);
        const Recording recording = recorder_->take();
        for (const fs::path& file : files_) {
            Draft draft(file);
            draft.write(file.extension() == ".html" ? report_html(recording) : chrome_json(recording));
            draft.publish();
        }
    }

  private:
    std::vector<fs::path> files_;
    const pid_t owner_;
    const std::shared_ptr<Recorder> recorder_ = std::make_shared<Recorder>();
    bool finished_ = false;
};

Session::Session(fs::path file) : state_(std::make_unique<State>(std::vector{std::move(file)})) {}
Session::Session(std::initializer_list<fs::path> files) : state_(std::make_unique<State>(std::vector(files))) {}

Session::~Session() {
    try {
        finish();
    } catch (const std::exception& error) {
        std::fprintf(stderr, "multiprocessing: %s\n", error.what());
    }
}

void Session::finish() { state_->finish(); }

}  // namespace mp::trace
