// The pieces of docs/guide/serialising-your-types.md and docs/guide/start-methods-and-threads.md.
#include <multiprocessing/multiprocessing.hpp>

#include <cstdio>
#include <string>
#include <utility>
#include <vector>

struct Point {  // a plain aggregate: nothing to do
    double x, y;
    std::string name;
};

class Polygon {
  public:
    Polygon() = default;
    explicit Polygon(std::vector<Point> points) : points_(std::move(points)) {}
    std::size_t corners() const { return points_.size(); }

    template <class Archive>
    void serialize(Archive& archive) {  // both ways, as cereal and Boost have it
        archive(points_);
    }

  private:
    std::vector<Point> points_;
};

std::size_t corners(const Polygon& polygon) { return polygon.corners(); }

int table_size = 0;  // set in main, and therefore not in workers

int seen() { return table_size; }

int main() {
    mp::Pool pool(1);
    const Polygon triangle({{0, 0, "a"}, {1, 0, "b"}, {0, 1, "c"}});
    std::printf("%zu corners\n", pool.apply(corners, triangle));

    table_size = 7;
    mp::Pool fresh(1);
    mp::Pool prepared({.workers = 1, .initializer = [n = table_size] { table_size = n; }});
    std::printf("%d %d\n", fresh.apply(seen), prepared.apply(seen));
}
// Prints:
// 3 corners
// 0 7
