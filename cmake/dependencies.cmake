# The libraries that the core stands on. Found, never downloaded.

find_package(Threads REQUIRED)
find_package(HWY REQUIRED)
find_package(nlohmann_json 3.9 REQUIRED)
find_package(OpenBLAS REQUIRED)
find_package(FFTW3 REQUIRED COMPONENTS double float double_threads float_threads)
find_package(ArmadilloHeaders REQUIRED)
