// Makes thumbnails of pictures with a decoder that trusts what it reads, as many do: a corrupt file crashes it. Here
// that costs one thumbnail.
//     recipes_thumbnails FROM-FOLDER TO-FOLDER     (binary PPM files)
#include <multiprocessing/pool.hpp>

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace fs = std::filesystem;

struct Picture {
    std::size_t width = 0, height = 0;
    const std::uint8_t* pixels = nullptr;  // three bytes each, in the mapped file
};

// "P6 width height 255", then the pixels - if the file has as many as it says.
Picture decode(const fs::path& path) {
    const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
    if (fd < 0) throw std::runtime_error("cannot open " + path.string());
    struct stat info{};
    ::fstat(fd, &info);
    void* file = ::mmap(nullptr, static_cast<std::size_t>(info.st_size), PROT_READ, MAP_PRIVATE, fd, 0);
    ::close(fd);
    if (file == MAP_FAILED) throw std::runtime_error("cannot read " + path.string());
    Picture picture;
    int header = 0;
    if (std::sscanf(static_cast<const char*>(file), "P6 %zu %zu 255%n", &picture.width, &picture.height, &header) < 2)
        throw std::invalid_argument(path.filename().string() + " is no PPM picture");
    picture.pixels = static_cast<const std::uint8_t*>(file) + header + 1;
    return picture;
}

// One pixel of each square of `step` by `step`.
std::string make_thumbnail(const fs::path& from, const fs::path& to) {
    const Picture picture = decode(from);
    const std::size_t step = std::max<std::size_t>(1, std::max(picture.width, picture.height) / 32);
    const std::size_t width = picture.width / step, height = picture.height / step;
    std::vector<char> small;
    for (std::size_t y = 0; y < height; ++y)
        for (std::size_t x = 0; x < width; ++x)
            for (std::size_t colour = 0; colour < 3; ++colour)
                small.push_back(static_cast<char>(picture.pixels[3 * (y * step * picture.width + x * step) + colour]));
    std::ofstream out(to, std::ios::binary);
    out << "P6 " << width << ' ' << height << " 255\n";
    out.write(small.data(), static_cast<std::streamsize>(small.size()));
    return from.filename().string() + ": " + std::to_string(width) + " x " + std::to_string(height);
}

int main(int argc, char** argv) {
    if (argc != 3) return std::fputs("usage: recipes_thumbnails FROM-FOLDER TO-FOLDER\n", stderr), 2;
    std::vector<std::pair<fs::path, fs::path>> tasks;
    for (const auto& entry : fs::directory_iterator(argv[1]))
        tasks.emplace_back(entry.path(), fs::path(argv[2]) / entry.path().filename());
    std::ranges::sort(tasks);
    fs::create_directories(argv[2]);

    mp::Pool pool;
    std::size_t failed = 0;
    const auto outcomes = pool.starmap_outcomes(make_thumbnail, tasks);
    for (std::size_t i = 0; i < outcomes.size(); ++i) {
        if (outcomes[i]) {
            std::puts(outcomes[i]->c_str());
        } else {
            ++failed;
            std::printf("%s: %s\n", tasks[i].first.filename().c_str(), outcomes[i].error().what());
        }
    }
    std::printf("%zu thumbnails, %zu failed\n", outcomes.size() - failed, failed);
}
