# The load-time checks, and the struct that crosses to C.

@testset "a library that is not there, or another one" begin
    code, text = other_julia("using Subquad", "SUBQUAD_LIBRARY" => "/nowhere/libsubquad.so")
    @test code != 0 && occursin("/nowhere/libsubquad.so", text) && occursin("SUBQUAD_LIBRARY", text)
    libjulia = first(filter(path -> occursin("libjulia", path), Subquad.Libdl.dllist()))
    code, text = other_julia("using Subquad", "SUBQUAD_LIBRARY" => libjulia)
    @test code != 0 && occursin("is not the subquad library", text)
end

"""A copy of the package, without what lies around it, in a folder of its own: `f(folder, package)`."""
function elsewhere(f)
    mktempdir() do folder
        package = mkpath(joinpath(folder, "bindings", "julia"))
        foreach(name -> cp(joinpath(PACKAGE, name), joinpath(package, name)), ("Project.toml", "src"))
        f(folder, package)
    end
end

const OPENED = "using Subquad; print(Subquad.Libdl.dlpath(Subquad.LIBRARY[]))"
const NAME = "libsubquad.$(Subquad.Libdl.dlext)"
const HERE = Subquad.Libdl.dlpath(Subquad.LIBRARY[])
const LOADER_PATH = Sys.isapple() ? "DYLD_LIBRARY_PATH" : "LD_LIBRARY_PATH"
const INSTALLED = first(other_julia("using Libdl; exit(dlopen(\"libsubquad\"; throw_error=false) === nothing ? 1 : 0)")) == 0

@testset "where it is looked for" begin
    elsewhere() do folder, package
        build = mkpath(joinpath(folder, "build", "release"))
        # An empty SUBQUAD_LIBRARY is as none.
        if !INSTALLED
            code, text = other_julia(OPENED, "SUBQUAD_LIBRARY" => ""; project=package)
            @test code != 0
            for word in ("an installed copy", "libsubquad\n", "build tree", joinpath(realpath(build), NAME), "set SUBQUAD_LIBRARY")
                @test occursin(word, replace(text, build => realpath(build)))
            end
            symlink(HERE, joinpath(build, NAME))
            code, text = other_julia(OPENED, "SUBQUAD_LIBRARY" => ""; project=package)
            @test code == 0 && realpath(text) == realpath(HERE) && occursin("release", text)
        end
        installed = mkpath(joinpath(folder, "lib"))
        symlink(HERE, joinpath(installed, NAME))
        paths = join(filter(!isempty, [installed, get(ENV, LOADER_PATH, "")]), ':')
        code, text = other_julia(OPENED, "SUBQUAD_LIBRARY" => "", LOADER_PATH => paths; project=package)
        @test code == 0 && realpath(dirname(text)) == realpath(installed)
        # Named, it is opened and nothing else.
        code, text = other_julia(OPENED, "SUBQUAD_LIBRARY" => HERE, LOADER_PATH => paths; project=package)
        @test code == 0 && text == HERE
    end
end

@testset "versions" begin
    for (found, wanted, good) in (
        (1_000, 1_000, true), (1_002, 1_000, true), (1_000, 1_001, false), (2_000, 1_000, false), (1_000_000, 1_000, false),
        (1_000_000, 1_000_000, true), (1_004_000, 1_000_002, true), (1_000_000, 1_004_000, false), (2_000_000, 1_000_000, false),
    )
        @test Subquad.serves(found, wanted) == good
    end
end

@testset "a library with other constants" begin
    constants = Subquad.CONSTANTS
    before = copy(constants)
    for (name, value, words) in (("SUBQUAD_ERR_SHAPE", 99, "SUBQUAD_ERR_SHAPE = 20"), ("SUBQUAD_ERR_NEW", 98, "SUBQUAD_ERR_NEW"))
        constants[name] = value
        error = try Subquad.check_library() catch exception exception end
        merge!(empty!(constants), before)
        @test error isa ErrorException && occursin(words, error.msg)
    end
    @test Subquad.check_library() === nothing
end

@testset "constants are all of the library's" begin
    listed = Dict{String,Int64}()
    name, value = Ref{Cstring}(), Ref{Int64}()
    while Subquad.subquad_constant_at(length(listed), name, value) == Subquad.SUBQUAD_OK
        listed[unsafe_string(name[])] = value[]
    end
    @test listed == Subquad.CONSTANTS
end

@testset "struct subquad_array" begin
    @test isbitstype(Subquad.SubquadArray) && sizeof(Subquad.SubquadArray) == 80
    @test [fieldoffset(Subquad.SubquadArray, i) for i in 1:5] == [0, 8, 12, 16, 48]
    x = PermutedDimsArray(zeros(2, 3, 4), (3, 1, 2))
    seen = Subquad.c_view("x", view(x, 4:-1:1, :, 2))
    @test seen.ndim == 2 && seen.shape == (2, 4, 0, 0) && seen.strides == (1, -6, 0, 0)
    @test seen.data == pointer(parent(x), 6 * 3 + 2 * 1 + 1) && seen.dtype == Subquad.SUBQUAD_FLOAT64
end

@testset "struct subquad_sparse" begin
    @test isbitstype(Subquad.SubquadSparse) && sizeof(Subquad.SubquadSparse) == 64
    @test [fieldoffset(Subquad.SubquadSparse, i) for i in 1:10] == [0, 8, 16, 24, 32, 40, 48, 52, 56, 60]
    x = SparseMatrixCSC{Float32,Int32}(sparse([0 2 0; 3 0 4]))
    by_columns, by_rows = Subquad.sparse_view("x", x), Subquad.sparse_view("x", x')
    @test (by_columns.rows, by_columns.columns, by_columns.nonzeros, by_columns.layout) == (2, 3, 3, Subquad.SUBQUAD_CSC)
    @test (by_rows.rows, by_rows.columns, by_rows.nonzeros, by_rows.layout) == (3, 2, 3, Subquad.SUBQUAD_CSR)
    for seen in (by_columns, by_rows)
        @test seen.offsets == pointer(x.colptr) && seen.indices == pointer(rowvals(x)) && seen.values == pointer(nonzeros(x))
        @test (seen.dtype, seen.index_dtype, seen.index_base) == (Subquad.SUBQUAD_FLOAT32, Subquad.SUBQUAD_INT32, 1)
    end
end
