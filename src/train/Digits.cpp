#include "data/optdigits_csv_gz.h"  // made from data/optdigits.csv.gz by the build

#include <Pewter/train/CsvDataset.hpp>
#include <Pewter/train/Digits.hpp>

namespace pewter::train {

Dataset digitsDataset() {
    CsvFormat format;
    format.width = 8;
    format.height = 8;
    format.maxValue = 16;
    return readCsvDataset(data::optdigits_csv_gz, format, "digits");
}

TrainTest digitsSplit() { return digitsDataset().split(kDigitsHeldOut, kDigitsSplitSeed); }

}  // namespace pewter::train
