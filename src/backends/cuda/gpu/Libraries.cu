#include "backends/cuda/gpu/Libraries.h"

#include <dlfcn.h>

#include <cstdlib>
#include <cstring>
#include <stdexcept>
#include <vector>

#include "backends/cuda/gpu/CublasLtProducts.h"
#include "backends/cuda/gpu/CudnnConvolutions.h"

namespace pewter::cuda {

namespace {

/// A library that stays loaded for the life of the process, or why there is none.
struct Loaded {
    void* library = nullptr;
    std::string problem;
    bool off = false;
};

Loaded load(const char* title, const char* variable, const std::vector<std::string>& names) {
    Loaded result;
    const char* wanted = std::getenv(variable);
    if (wanted && std::strcmp(wanted, "off") == 0) {
        result.off = true;
        return result;
    }
    std::string tried;
    for (const auto& name : wanted ? std::vector<std::string>{wanted} : names) {
        result.library = dlopen(name.c_str(), RTLD_NOW | RTLD_LOCAL);
        if (result.library) return result;
        const char* why = dlerror();  // begins with the name of what is missing, which may be a library that it needs
        tried += (tried.empty() ? "" : ", ") + (why ? std::string(why) : name);
    }
    result.problem = std::string(title) + " was not found (tried " + tried + "); " + variable +
                     " names its file, or \"off\" to do without";
    return result;
}

template <class F>
void find(Loaded& loaded, const char* title, const char* symbol, F& function) {
    if (!loaded.library) return;
    function = reinterpret_cast<F>(dlsym(loaded.library, symbol));
    if (function) return;
    loaded.problem = std::string(title) + " lacks " + symbol;
    loaded.library = nullptr;
}

/// Names to try: in the library path, and where Python packages put it (known when this was configured).
std::vector<std::string> candidates(const char* file, const char* folder) {
    std::vector<std::string> names{file};
    if (std::strlen(PEWTER_CUDA_PACKAGES) > 0)
        names.push_back(std::string(PEWTER_CUDA_PACKAGES) + "/" + folder + "/lib/" + file);
    return names;
}

struct Cudnn {
    Loaded loaded = load("cuDNN 9", "PEWTER_CUDNN", candidates("libcudnn.so.9", "cudnn"));
    dnn::Api api{};
    Cudnn() {
#define PEWTER_FIND(name) find(loaded, "cuDNN 9", "cudnn" #name, api.name)
        PEWTER_FIND(Create);
        PEWTER_FIND(Destroy);
        PEWTER_FIND(SetStream);
        PEWTER_FIND(GetVersion);
        PEWTER_FIND(GetErrorString);
        PEWTER_FIND(BackendCreateDescriptor);
        PEWTER_FIND(BackendDestroyDescriptor);
        PEWTER_FIND(BackendFinalize);
        PEWTER_FIND(BackendSetAttribute);
        PEWTER_FIND(BackendGetAttribute);
        PEWTER_FIND(BackendExecute);
#undef PEWTER_FIND
    }
};

struct CublasLt {
    static std::vector<std::string> names() {
        auto names = candidates("libcublasLt.so.13", "cu13");
        for (const auto& older : candidates("libcublasLt.so.12", "cublas")) names.push_back(older);
        return names;
    }
    Loaded loaded = load("cuBLASLt", "PEWTER_CUBLASLT", names());
    blas::Api api{};
    CublasLt() {
#define PEWTER_FIND(name) find(loaded, "cuBLASLt", "cublasLt" #name, api.name)
        PEWTER_FIND(Create);
        PEWTER_FIND(Destroy);
        PEWTER_FIND(GetVersion);
        PEWTER_FIND(MatmulDescCreate);
        PEWTER_FIND(MatmulDescDestroy);
        PEWTER_FIND(MatmulDescSetAttribute);
        PEWTER_FIND(MatrixLayoutCreate);
        PEWTER_FIND(MatrixLayoutDestroy);
        PEWTER_FIND(MatmulPreferenceCreate);
        PEWTER_FIND(MatmulPreferenceDestroy);
        PEWTER_FIND(MatmulPreferenceSetAttribute);
        PEWTER_FIND(MatmulAlgoGetHeuristic);
        PEWTER_FIND(Matmul);
#undef PEWTER_FIND
    }
};

Cudnn& loadedCudnn() {
    static Cudnn cudnn;
    return cudnn;
}
CublasLt& loadedCublasLt() {
    static CublasLt cublasLt;
    return cublasLt;
}

template <class Library>
auto apiOf(Library& library) -> const decltype(library.api)* {
    if (library.loaded.off) return nullptr;
    if (!library.loaded.library) throw std::runtime_error(library.loaded.problem);
    return &library.api;
}

std::string stateOf(const Loaded& loaded, const char* title, std::size_t version) {
    if (loaded.off) return std::string(title) + " off";
    if (!loaded.library) return "no " + std::string(title);
    return std::string(title) + " " + std::to_string(version / 10000) + "." + std::to_string(version % 10000 / 100) + "." +
           std::to_string(version % 100);
}

}  // namespace

Libraries::Libraries(int device)
    : convolutions_(std::make_unique<CudnnConvolutions>(*this, device)),
      products_(std::make_unique<CublasLtProducts>(*this, device)) {}
Libraries::~Libraries() = default;

const dnn::Api* Libraries::cudnn() { return apiOf(loadedCudnn()); }
const blas::Api* Libraries::cublasLt() { return apiOf(loadedCublasLt()); }

std::string Libraries::description() {
    auto& dnn = loadedCudnn();
    auto& blas = loadedCublasLt();
    // cuBLASLt 13.1.0 says 130100 and cuDNN 9.10.2 says 91002.
    return stateOf(dnn.loaded, "cuDNN", dnn.loaded.library ? dnn.api.GetVersion() : 0) + ", " +
           stateOf(blas.loaded, "cuBLASLt", blas.loaded.library ? blas.api.GetVersion() : 0);
}

}  // namespace pewter::cuda
