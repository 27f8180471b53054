#include "model/tensor_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "core/error.h"
#include "core/tensor.h"

namespace pk {

static Error io_error(const std::string& action, const std::string& path) {
  int code = errno;
  return Error(code == ENOSPC ? "ENOSPC" : "ERR_IO", "Could not " + action + " " + path + ": " + std::strerror(code) + ".");
}

MappedFile::MappedFile(const std::string& path) {
  int file = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (file < 0) throw io_error("open", path);
  struct stat info {};
  if (::fstat(file, &info) != 0 || info.st_size == 0) {
    ::close(file);
    throw Error("ERR_IO", "Could not map " + path + ": the file is empty or unreadable.");
  }
  size_ = info.st_size;
  void* at = ::mmap(nullptr, static_cast<size_t>(size_), PROT_READ, MAP_PRIVATE, file, 0);
  ::close(file);
  if (at == MAP_FAILED) throw io_error("map", path);
  data_ = static_cast<const uint8_t*>(at);
}

MappedFile::~MappedFile() {
  if (data_) ::munmap(const_cast<uint8_t*>(data_), static_cast<size_t>(size_));
}

void read_elements(float* out, const uint8_t* bytes, FileType type, int64_t n) {
  if (type == FileType::f32) {
    std::memcpy(out, bytes, static_cast<size_t>(n) * 4);
    return;
  }
  for (int64_t i = 0; i < n; ++i) {
    uint16_t bits;
    std::memcpy(&bits, bytes + 2 * i, 2);
    out[i] = type == FileType::bf16 ? to_float(bf16{bits}) : static_cast<float>(__builtin_bit_cast(_Float16, bits));
  }
}

namespace {

void write_all(int file, const void* data, size_t bytes, const std::string& path) {
  const char* at = static_cast<const char*>(data);
  while (bytes > 0) {
    ssize_t written = ::write(file, at, std::min<size_t>(bytes, 1 << 24));
    if (written < 0) {
      if (errno == EINTR) continue;
      throw io_error("write", path);
    }
    at += written;
    bytes -= static_cast<size_t>(written);
  }
}

void write_part(int file, const FilePart& part, const std::string& path) {
  if (part.type == FileType::f32) return write_all(file, part.data, static_cast<size_t>(part.n) * 4, path);
  std::vector<bf16> block;
  for (int64_t begin = 0; begin < part.n; begin += 1 << 20) {
    int64_t count = std::min<int64_t>(1 << 20, part.n - begin);
    block.resize(static_cast<size_t>(count));
    for (int64_t i = 0; i < count; ++i) block[static_cast<size_t>(i)] = to_bf16(part.data[begin + i]);
    write_all(file, block.data(), static_cast<size_t>(count) * 2, path);
  }
}

}  // namespace

void write_file(const std::string& path, const std::string& header, const std::vector<FilePart>& parts) {
  int file = ::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  if (file < 0) throw io_error("create", path);
  try {
    write_all(file, header.data(), header.size(), path);
    for (const FilePart& part : parts) write_part(file, part, path);
    if (::fsync(file) != 0) throw io_error("flush", path);
  } catch (...) {
    ::close(file);
    ::unlink(path.c_str());
    throw;
  }
  if (::close(file) != 0) throw io_error("close", path);
}

}  // namespace pk
