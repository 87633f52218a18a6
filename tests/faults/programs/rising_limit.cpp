// Uses pools while one of this process's own limits rises from too little to enough. Each new outcome is a line; what
// may not happen is one that begins with "wrong".
//
//     rising_limit forkserver|fork|spawn|threads processes|descriptors|memory
#include <grp.h>
#include <malloc.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cctype>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <functional>
#include <new>
#include <string>
#include <string_view>

#include "faults/use_a_pool.hpp"
#include "process/forkserver.hpp"
#include "support/leak_check.hpp"
#include "support/resource_limit.hpp"

namespace {

using namespace mp::test;

mp::PoolOptions options;

// What a step that hangs ends with. Steps are a matter of milliseconds.
constexpr unsigned longest_step = 30;
void on_alarm(int) {
    constexpr std::string_view line = "wrong: a step hangs\n";
    static_cast<void>(!::write(STDOUT_FILENO, line.data(), line.size()));
    ::_exit(1);
}

void say(const std::string& line) {
    std::puts(line.c_str());
    std::fflush(stdout);
}

// Numbers differ between steps that fail alike.
std::string without_numbers(std::string text) {
    std::erase_if(text, [](unsigned char character) { return std::isdigit(character) != 0; });
    return text;
}

std::string outcome_of_a_pool() {
    try {
        use_a_pool(options);
        return "success";
    } catch (const mp::Error& error) {
        return without_numbers(error.what());
    } catch (const std::bad_alloc&) {
        return "no memory";
    } catch (const std::exception& error) {
        return std::string("wrong: ") + error.what();
    }
}

// One step: what comes of a pool under this limit, and that nothing of it is left.
std::string outcome(__rlimit_resource resource, rlim_t limit) {
    ::alarm(longest_step);
    const Snapshot before = take_snapshot(::getpid());
    std::string text;
    {
        const ResourceLimit lowered(resource, limit);
        text = outcome_of_a_pool();
    }
    mp::process::Forkserver::shut_down_shared();
    // Servers are nobody's children, so they are this process's now; and the dead ones count until they are reaped.
    while (::waitpid(-1, nullptr, 0) > 0) continue;
    for (const std::string& left : wait_for_no_leaks(before, std::chrono::seconds(10)))
        text = "wrong: left behind: " + left;
    return text;
}

// By one each time.
bool rise(__rlimit_resource resource, rlim_t first) {
    constexpr rlim_t plenty = 200;
    std::string last;
    for (rlim_t more = 0; more < plenty; ++more) {
        std::string text = outcome(resource, first + more);
        if (text != last) say(std::to_string(more) + " more: " + text);
        if (text == "success") return true;
        last = std::move(text);
    }
    return false;
}

rlim_t address_space() {
    rlim_t pages = 0;
    std::ifstream("/proc/self/statm") >> pages;
    return pages * static_cast<rlim_t>(::sysconf(_SC_PAGESIZE));
}

// Looks for each change between two limits, down to a few pages.
bool rise_in_memory() {
    constexpr rlim_t grain = 64 << 10;
    const rlim_t least = address_space();
    const rlim_t most =
        least + 8 * static_cast<rlim_t>(::sysconf(_SC_PHYS_PAGES)) * static_cast<rlim_t>(::sysconf(_SC_PAGESIZE));
    const std::function<void(rlim_t, const std::string&, rlim_t, const std::string&)> between =
        [&](rlim_t low, const std::string& at_low, rlim_t high, const std::string& at_high) {
            if (at_low == at_high) return;
            if (high - low <= grain) return say(std::to_string((high - least) >> 10) + " KiB more: " + at_high);
            const rlim_t middle = low + (high - low) / 2;
            const std::string at_middle = outcome(RLIMIT_AS, middle);
            between(low, at_low, middle, at_middle);
            between(middle, at_middle, high, at_high);
        };
    const std::string at_least = outcome(RLIMIT_AS, least), at_most = outcome(RLIMIT_AS, most);
    say("0 more: " + at_least);
    between(least, at_least, most, at_most);
    return at_most == "success";
}

}  // namespace

int main(int count, char** arguments) {
    if (count != 3) return 2;
    const std::string_view workers = arguments[1], resource = arguments[2];
    options.workers = 2;
    if (workers == "threads") options.engine = mp::threads();
    for (const auto each : mp::get_all_start_methods())
        if (mp::to_string(each) == workers) options.start_method = each;
    ::signal(SIGALRM, on_alarm);
    ::prctl(PR_SET_CHILD_SUBREAPER, 1);
    ::mallopt(M_ARENA_MAX, 1);
    if (resource == "processes") {
        // Root is not limited; nobody else has this number.
        const auto nobody_else = static_cast<uid_t>(100'000 + ::getpid());
        if (::setgroups(0, nullptr) != 0 || ::setgid(nobody_else) != 0 || ::setuid(nobody_else) != 0) {
            say("skipped");
            return 0;
        }
        ::prctl(PR_SET_DUMPABLE, 1);  // or its own /proc/self/exe is not readable
    }
    // What the library keeps for ever is there from the first pool on.
    static_cast<void>(outcome(RLIMIT_CORE, 0));
    const auto held = ::mallinfo2().uordblks;
    const bool enough = resource == "processes"     ? rise(RLIMIT_NPROC, 1)
                        : resource == "descriptors" ? rise(RLIMIT_NOFILE, static_cast<rlim_t>(lowest_free_descriptor()))
                                                    : rise_in_memory();
    if (!enough) say("wrong: never enough");
    // Hundreds of steps: whatever each left in the heap adds up.
    if (const long kept = static_cast<long>(::mallinfo2().uordblks) - static_cast<long>(held); kept > 256 << 10)
        say("wrong: left in the heap: " + std::to_string(kept) + " bytes");
    return 0;
}
