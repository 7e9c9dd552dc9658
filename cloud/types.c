#include "cloud/types.h"

#include "lib/cleanup.h"

#define TYPE(name, cpus, gib, ondemand, spot)                                                                \
	{                                                                                                    \
		name, cpus, (int)((gib)*1024), ondemand, spot                                                \
	}

/*
 * vCPUs, GiB and the on-demand price (USD an hour, Linux, us-east-1) are those of EC2's price list. Spot
 * prices move all day: these are typical ones of that region.
 */
static const struct cloud_type types[] = {
	/* clang-format off */
	TYPE("c5.large",       2,    4,   0.085, 0.0340),
	TYPE("c5.xlarge",      4,    8,   0.170, 0.0663),
	TYPE("c5.2xlarge",     8,   16,   0.340, 0.1300),
	TYPE("c5.4xlarge",    16,   32,   0.680, 0.2720),
	TYPE("c5.9xlarge",    36,   72,   1.530, 0.6273),
	TYPE("c5.12xlarge",   48,   96,   2.040, 0.8160),
	TYPE("c5.18xlarge",   72,  144,   3.060, 1.2852),
	TYPE("c5.24xlarge",   96,  192,   4.080, 1.6728),

	TYPE("m5.large",       2,    8,   0.096, 0.0384),
	TYPE("m5.xlarge",      4,   16,   0.192, 0.0787),
	TYPE("m5.2xlarge",     8,   32,   0.384, 0.1536),
	TYPE("m5.4xlarge",    16,   64,   0.768, 0.3226),
	TYPE("m5.8xlarge",    32,  128,   1.536, 0.6298),
	TYPE("m5.12xlarge",   48,  192,   2.304, 0.9216),
	TYPE("m5.16xlarge",   64,  256,   3.072, 1.2595),
	TYPE("m5.24xlarge",   96,  384,   4.608, 1.9354),

	TYPE("r5.large",       2,   16,   0.126, 0.0454),
	TYPE("r5.xlarge",      4,   32,   0.252, 0.0932),
	TYPE("r5.2xlarge",     8,   64,   0.504, 0.1915),
	TYPE("r5.4xlarge",    16,  128,   1.008, 0.3730),
	TYPE("r5.8xlarge",    32,  256,   2.016, 0.7258),
	TYPE("r5.12xlarge",   48,  384,   3.024, 1.1491),
	TYPE("r5.16xlarge",   64,  512,   4.032, 1.4918),
	TYPE("r5.24xlarge",   96,  768,   6.048, 2.2982),

	TYPE("t3.nano",        2,  0.5,  0.0052, 0.0016),
	TYPE("t3.micro",       2,    1,  0.0104, 0.0031),
	TYPE("t3.small",       2,    2,  0.0208, 0.0063),
	TYPE("t3.medium",      2,    4,  0.0416, 0.0137),
	TYPE("t3.large",       2,    8,  0.0832, 0.0281),
	TYPE("t3.xlarge",      4,   16,  0.1664, 0.0602),
	TYPE("t3.2xlarge",     8,   32,  0.3328, 0.1345),

	TYPE("c6i.large",      2,    4,   0.085, 0.0348),
	TYPE("c6i.xlarge",     4,    8,   0.170, 0.0714),
	TYPE("c6i.2xlarge",    8,   16,   0.340, 0.1394),
	TYPE("c6i.4xlarge",   16,   32,   0.680, 0.2924),
	TYPE("c6i.8xlarge",   32,   64,   1.360, 0.5712),
	TYPE("c6i.12xlarge",  48,   96,   2.040, 0.8364),
	TYPE("c6i.16xlarge",  64,  128,   2.720, 1.1696),
	TYPE("c6i.24xlarge",  96,  192,   4.080, 1.7136),
	TYPE("c6i.32xlarge", 128,  256,   5.440, 2.2848),

	TYPE("m6i.large",      2,    8,   0.096, 0.0403),
	TYPE("m6i.xlarge",     4,   16,   0.192, 0.0787),
	TYPE("m6i.2xlarge",    8,   32,   0.384, 0.1613),
	TYPE("m6i.4xlarge",   16,   64,   0.768, 0.3302),
	TYPE("m6i.8xlarge",   32,  128,   1.536, 0.6451),
	TYPE("m6i.12xlarge",  48,  192,   2.304, 0.9907),
	TYPE("m6i.16xlarge",  64,  256,   3.072, 1.2902),
	TYPE("m6i.24xlarge",  96,  384,   4.608, 1.8893),
	TYPE("m6i.32xlarge", 128,  512,   6.144, 2.6419),

	TYPE("r6i.large",      2,   16,   0.126, 0.0479),
	TYPE("r6i.xlarge",     4,   32,   0.252, 0.0932),
	TYPE("r6i.2xlarge",    8,   64,   0.504, 0.1966),
	TYPE("r6i.4xlarge",   16,  128,   1.008, 0.3830),
	TYPE("r6i.8xlarge",   32,  256,   2.016, 0.7661),
	TYPE("r6i.12xlarge",  48,  384,   3.024, 1.1794),
	TYPE("r6i.16xlarge",  64,  512,   4.032, 1.4918),
	TYPE("r6i.24xlarge",  96,  768,   6.048, 2.2982),
	TYPE("r6i.32xlarge", 128, 1024,   8.064, 3.1450),
	/* clang-format on */
};

const struct cloud_type *cloud_type_table(size_t *count)
{
	*count = array_length(types);
	return types;
}
