// A file that a session may write.
#pragma once

#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

namespace mp::test {

class TemporaryFile {
  public:
    explicit TemporaryFile(const char* name) {
        std::string folder = testing::TempDir() + "insight-XXXXXX";
        path_ = std::filesystem::path(::mkdtemp(folder.data())) / name;
    }
    TemporaryFile(const TemporaryFile&) = delete;
    TemporaryFile& operator=(const TemporaryFile&) = delete;
    ~TemporaryFile() { std::filesystem::remove_all(path_.parent_path()); }

    operator const std::filesystem::path&() const { return path_; }
    std::string contents() const {
        std::ifstream stream(path_);
        return {std::istreambuf_iterator<char>(stream), {}};
    }

  private:
    std::filesystem::path path_;
};

}  // namespace mp::test
