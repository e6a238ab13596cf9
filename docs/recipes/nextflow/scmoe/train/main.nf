process SCMOE_TRAIN {
    tag "$meta.id"
    label 'process_medium'

    conda "${moduleDir}/environment.yml"
    container "scmoe:0.1.0" // docs/recipes/Dockerfile

    input:
    tuple val(meta), path(data)

    output:
    tuple val(meta), path("${prefix}/result.h5mu"), emit: data
    tuple val(meta), path("${prefix}/model")      , emit: model
    tuple val(meta), path("${prefix}/figures")    , emit: figures
    tuple val(meta), path("${prefix}/run.toml")   , emit: options
    tuple val(meta), path("${prefix}.jsonl")      , emit: log
    path "versions.yml"                           , emit: versions

    when:
    task.ext.when == null || task.ext.when

    script:
    def args = task.ext.args ?: ''
    prefix = task.ext.prefix ?: "${meta.id}"
    """
    export MPLCONFIGDIR=./tmp NUMBA_CACHE_DIR=./tmp OMP_NUM_THREADS=1
    scmoe train $data --output $prefix --log-format json $args 2> ${prefix}.jsonl

    cat <<-END_VERSIONS > versions.yml
    "${task.process}":
        scmoe: \$(scmoe --version | sed 's/^scmoe //')
    END_VERSIONS
    """

    stub:
    prefix = task.ext.prefix ?: "${meta.id}"
    """
    mkdir -p ${prefix}/model ${prefix}/figures
    touch ${prefix}/result.h5mu ${prefix}/run.toml ${prefix}.jsonl

    cat <<-END_VERSIONS > versions.yml
    "${task.process}":
        scmoe: \$(scmoe --version | sed 's/^scmoe //')
    END_VERSIONS
    """
}
