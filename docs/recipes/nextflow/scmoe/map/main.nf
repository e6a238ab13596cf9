process SCMOE_MAP {
    tag "$meta.id"
    label 'process_medium'

    conda "${moduleDir}/environment.yml"
    container "scmoe:0.1.0" // docs/recipes/Dockerfile

    input:
    tuple val(meta), path(data)
    tuple val(meta2), path(model)

    output:
    tuple val(meta), path("${prefix}.h5mu") , emit: data
    tuple val(meta), path("${prefix}.html") , emit: report
    tuple val(meta), path("${prefix}.jsonl"), emit: log
    path "versions.yml"                     , emit: versions

    when:
    task.ext.when == null || task.ext.when

    script:
    def args = task.ext.args ?: ''
    prefix = task.ext.prefix ?: "${meta.id}_mapped"
    """
    export MPLCONFIGDIR=./tmp NUMBA_CACHE_DIR=./tmp OMP_NUM_THREADS=1
    scmoe map $data --model $model --output ${prefix}.h5mu --log-format json $args 2> ${prefix}.jsonl
    scmoe report ${prefix}.h5mu --output ${prefix}.html --log-format json 2>> ${prefix}.jsonl

    cat <<-END_VERSIONS > versions.yml
    "${task.process}":
        scmoe: \$(scmoe --version | sed 's/^scmoe //')
    END_VERSIONS
    """

    stub:
    prefix = task.ext.prefix ?: "${meta.id}_mapped"
    """
    touch ${prefix}.h5mu ${prefix}.html ${prefix}.jsonl

    cat <<-END_VERSIONS > versions.yml
    "${task.process}":
        scmoe: \$(scmoe --version | sed 's/^scmoe //')
    END_VERSIONS
    """
}
