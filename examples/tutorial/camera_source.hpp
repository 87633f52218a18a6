// Where the frames of chapter 9 come from.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <stdexcept>
#include <string>
#include <thread>

#ifdef CAMERA_WITH_OPENCV
#include <opencv2/imgproc.hpp>
#include <opencv2/videoio.hpp>
#endif

constexpr int frame_width = 640;
constexpr int frame_height = 480;
constexpr std::size_t frame_size = std::size_t{frame_width} * frame_height;  // one byte of brightness a pixel

class Source {
  public:
    virtual ~Source() = default;
    /// Waits for the next frame and writes it; false at the end.
    virtual bool record(std::span<std::uint8_t> frame) = 0;
};

/// A moving pattern, 500 frames a second.
class SyntheticSource : public Source {
  public:
    bool record(std::span<std::uint8_t> frame) override {
        std::this_thread::sleep_until(next_);
        next_ = std::chrono::steady_clock::now() + std::chrono::milliseconds(2);
        for (std::size_t i = 0; i < frame.size(); ++i)
            frame[i] = static_cast<std::uint8_t>(i % frame_width + i / frame_width + 3 * number_);
        ++number_;
        return true;
    }

  private:
    std::chrono::steady_clock::time_point next_ = std::chrono::steady_clock::now();
    std::size_t number_ = 0;
};

#ifdef CAMERA_WITH_OPENCV
/// A camera such as /dev/video0, or a film.
class OpenCvSource : public Source {
  public:
    explicit OpenCvSource(const std::string& name) : capture_(name) {
        if (!capture_.isOpened()) throw std::runtime_error("cannot open " + name);
    }
    bool record(std::span<std::uint8_t> frame) override {
        if (!capture_.read(picture_)) return false;
        cv::Mat grey, target(frame_height, frame_width, CV_8UC1, frame.data());
        if (picture_.channels() == 1)
            grey = picture_;
        else
            cv::cvtColor(picture_, grey, cv::COLOR_BGR2GRAY);
        cv::resize(grey, target, target.size());  // straight into shared memory
        return true;
    }

  private:
    cv::VideoCapture capture_;
    cv::Mat picture_;
};
#endif

inline std::unique_ptr<Source> open_source(const std::string& name) {
    if (name == "synthetic") return std::make_unique<SyntheticSource>();
#ifdef CAMERA_WITH_OPENCV
    return std::make_unique<OpenCvSource>(name);
#else
    throw std::runtime_error("cannot open " + name + ": this program was built without OpenCV");
#endif
}
