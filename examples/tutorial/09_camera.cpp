// Chapter 9: a camera in the background. A process records frames into shared memory, from "start" to "stop"; the main
// program goes on with its own work and takes the frames when it likes. No pixel is copied between the two.
#include <multiprocessing/connection.hpp>
#include <multiprocessing/process.hpp>
#include <multiprocessing/queues.hpp>
#include <multiprocessing/sharedctypes.hpp>

#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <numeric>
#include <span>
#include <string>
#include <utility>

#include "camera_source.hpp"
#include "count_primes.hpp"

using namespace std::chrono_literals;

struct Frame {
    std::uint64_t number = 0;    // from 0, without a gap
    std::uint64_t checksum = 0;  // of the pixels as they were recorded
    int slot = 0;                // where in the ring they are; -1: there are no more frames
};

std::uint64_t checksum_of(std::span<const std::uint8_t> pixels) {
    return std::accumulate(pixels.begin(), pixels.end(), std::uint64_t{14695981039346656037u},
                           [](std::uint64_t sum, std::uint8_t pixel) { return (sum ^ pixel) * 1099511628211u; });
}

// The memory that both processes share. A slot belongs to whoever took its number out of a queue.
struct Ring {
    explicit Ring(int slots) : pixels(slots * frame_size) {
        for (int slot = 0; slot < slots; ++slot) free.put(slot);
    }
    std::span<std::uint8_t> at(int slot) { return pixels.span().subspan(slot * frame_size, frame_size); }

    mp::Array<std::uint8_t> pixels;
    mp::Queue<int> free;        // slots to record into
    mp::Queue<Frame> recorded;  // frames to look at
};

// Commands go to the camera; how many frames it has recorded comes back.
using CameraEnd = mp::Connection<std::uint64_t, std::string>;

class Camera : public mp::Process {
  public:
    Camera(CameraEnd commands, Ring ring, std::string source)
        : commands_(std::move(commands)), ring_(std::move(ring)), source_name_(std::move(source)) {}

    void run() override {
        const auto source = open_source(source_name_);
        bool recording = false;
        while (true) {
            if (commands_.poll(recording ? 0ms : 500ms)) {
                const std::string command = commands_.recv();
                if (command == "close") return;
                recording = command == "start";
                if (command == "stop") commands_.send(number_);
            }
            if (recording) recording = record(*source);
        }
    }

  private:
    bool record(Source& source) {
        const auto slot = ring_.free.get_for(100ms);
        if (!slot) return true;                 // the main program is behind: the camera waits, and loses nothing
        if (!source.record(ring_.at(*slot))) {  // a film is over
            ring_.recorded.put({number_, 0, -1});
            return false;
        }
        ring_.recorded.put({number_++, checksum_of(ring_.at(*slot)), *slot});
        return true;
    }

    CameraEnd commands_;
    Ring ring_;
    std::string source_name_;
    std::uint64_t number_ = 0;
};

struct Checked {
    std::uint64_t frames = 0, lost = 0, torn = 0;

    void take(const Frame& frame, Ring& ring) {
        if (frame.slot < 0) return;
        if (frame.number != frames + lost) ++lost;
        if (checksum_of(ring.at(frame.slot)) != frame.checksum) ++torn;
        ++frames;
        ring.free.put(frame.slot);
    }
};

// camera [FRAMES [SOURCE]]
int main(int argc, char** argv) {
    const std::uint64_t wanted = argc > 1 ? std::strtoull(argv[1], nullptr, 10) : 200;
    Ring ring(16);
    auto [main_end, camera_end] = mp::Pipe<std::string, std::uint64_t>();
    Camera camera(std::move(camera_end), ring, argc > 2 ? argv[2] : "synthetic");
    camera.start();

    main_end.send("start");
    std::printf("main program: %d primes up to 20000, while the camera records\n", count_primes_in_range(1, 20000));

    Checked checked;
    while (checked.frames < wanted) {
        const auto frame = ring.recorded.get_for(1s);
        if (frame && frame->slot < 0) break;
        if (frame)
            checked.take(*frame, ring);
        else if (!camera.is_alive())
            break;
    }
    main_end.send("stop");
    const std::uint64_t recorded = camera.is_alive() ? main_end.recv() : checked.frames;
    while (const auto frame = ring.recorded.try_get()) checked.take(*frame, ring);
    main_end.send("close");
    camera.join();

    std::printf("frames recorded: %s, lost: %llu, torn: %llu\n",
                recorded == checked.frames ? "all seen" : "some unseen", static_cast<unsigned long long>(checked.lost),
                static_cast<unsigned long long>(checked.torn));
    return recorded == checked.frames && checked.lost == 0 && checked.torn == 0 && checked.frames > 0 ? 0 : 1;
}
