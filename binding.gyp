# Fallback for machines without CMake: npm run build:gyp. The same sources as CMakeLists.txt, without CUDA; oneDNN when its header is there.
{
  "variables": {
    "openssl_fips": "",
    "arch%": "<!(node -p \"process.env.PRIMEKIT_ARCH || 'native'\")",
    "onednn%": "<!(node -p \"process.env.PRIMEKIT_ONEDNN !== 'OFF' && ['/usr', '/usr/local'].some((p) => require('fs').existsSync(p + '/include/dnnl.hpp')) ? 1 : 0\")"
  },
  "targets": [
    {
      "target_name": "addon",
      "sources": ["<!@(node -p \"['core', 'cpu', 'model', 'dist', 'binding'].flatMap((d) => { try { return require('fs').readdirSync('native/' + d).filter((f) => f.endsWith('.cpp')).map((f) => 'native/' + d + '/' + f) } catch { return [] } }).join(' ')\")"],
      "include_dirs": ["native", "<!@(node -p \"require('node-addon-api').include_dir\")", "<!@(node -p \"require('node-api-headers').include_dir\")"],
      "defines": ["NAPI_VERSION=8", "NODE_ADDON_API_CPP_EXCEPTIONS_ALL"],
      "cflags!": ["-fno-exceptions"],
      "cflags_cc!": ["-fno-exceptions", "-fno-rtti", "-std=gnu++17"],
      "cflags_cc": ["-std=c++20", "-O3", "-march=<(arch)", "-fopenmp", "-fexceptions", "-frtti", "-Wall", "-Wextra", "-Wno-unknown-pragmas", "-fno-math-errno", "-fno-trapping-math", "-ffp-contract=fast"],
      "ldflags": ["-fopenmp"],
      "libraries": ["-ldl"],
      "xcode_settings": { "GCC_ENABLE_CPP_EXCEPTIONS": "YES", "GCC_ENABLE_CPP_RTTI": "YES", "CLANG_CXX_LANGUAGE_STANDARD": "c++20" },
      "conditions": [["onednn==1", { "defines": ["PRIMEKIT_ONEDNN=1"], "libraries": ["-ldnnl"] }]]
    }
  ]
}
